"""What a request for features must be."""

from __future__ import annotations

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest

from services.feature.request import check_items, check_user
from shared.runtime.errors import Refusal


def refused(action) -> list[tuple[str, str]]:
    """The fields named by the refusal, each with the reason."""
    with pytest.raises(Refusal) as caught:
        action()
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT
    bad = next(detail for detail in caught.value.details if isinstance(detail, BadRequest))
    return [(violation.field, violation.reason) for violation in bad.field_violations]


@pytest.mark.parametrize("user_id, reason", [("", "REQUIRED"), ("u" * 129, "OUT_OF_RANGE")])
def test_an_id_that_no_user_has_is_refused(user_id, reason):
    assert refused(lambda: check_user(user_id)) == [("user_id", reason)]


@pytest.mark.parametrize(
    "item_ids, named",
    [
        ([], ["item_ids"]),
        (["i"] * 1001, ["item_ids"]),
        (["a", ""], ["item_ids[1]"]),
        (["i" * 129, "a", "j" * 129], ["item_ids[0]", "item_ids[2]"]),
    ],
)
def test_each_id_that_no_item_has_is_named(item_ids, named):
    assert refused(lambda: check_items(item_ids)) == [(field, "OUT_OF_RANGE") for field in named]


def test_ids_of_any_length_that_is_allowed_pass():
    check_user("u")
    check_user("ü" * 128)
    check_items(["i", "i" * 128] * 500)
