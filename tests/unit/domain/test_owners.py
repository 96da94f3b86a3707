"""One setting tells who owns which partition; what is wrong with it is named."""

from __future__ import annotations

import pytest

from shared.domain.owners import divided, parse_owners, ranges


def test_one_address_owns_everything():
    owners = parse_owners("127.0.0.1:50052", 4)
    assert (owners.instances, owners.partitions_of("127.0.0.1:50052")) == (("127.0.0.1:50052",), (0, 1, 2, 3))


def test_several_instances_share_the_partitions():
    owners = parse_owners("0-1=a:1, 3=c:3,2=[::1]:2", 4)
    assert owners.instances == ("a:1", "[::1]:2", "c:3")
    assert [owners.of(key) for key in (4, 5, 6, 7)] == ["a:1", "a:1", "[::1]:2", "c:3"]


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("0-1=a:1", r"without an owner: \[2, 3\]"),
        ("0-2=a:1,2-3=b:1", "partition 2 has two owners"),
        ("0-4=a:1", "beyond 0 to 3"),
        ("0-3=nowhere", "'0-3=nowhere' must be"),
        ("nowhere", "'nowhere' must be"),
        ("3-0=a:1", "beyond"),
        ("", "must be"),
    ],
)
def test_what_is_wrong_is_named(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_owners(text, 4)


@pytest.mark.parametrize("instances", range(1, 17))
def test_partitions_are_divided_in_runs_that_differ_by_one_at_most(instances):
    owners = divided(16, [f"host:{number}" for number in range(instances)])
    sizes = {len(owners.partitions_of(address)) for address in owners.instances}
    assert len(owners.instances) == instances
    assert max(sizes) - min(sizes) <= 1
    assert all(len(ranges(owners.partitions_of(address))) == 1 for address in owners.instances)


@pytest.mark.parametrize("text", ["a:1", "0-7=a:1,8-15=b:1", "0=a:1,2-14=a:1,1=b:1,15=b:1"])
def test_the_text_of_owners_is_the_setting_that_makes_them(text):
    assert parse_owners(text, 16).text == text


@pytest.mark.parametrize("instances", [0, 5])
def test_more_instances_than_partitions_cannot_share_them(instances):
    with pytest.raises(ValueError, match=f"{instances} instances cannot share 4 partitions"):
        divided(4, ["host:1"] * instances)
