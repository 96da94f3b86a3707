"""What a ranking request must be."""

from __future__ import annotations

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest

from freshet.ranking.v1.ranking_pb2 import RankItemsRequest, RecommendRequest
from services.ranking.request import check, check_candidates, min_position
from shared.domain.consistency import encode_token
from shared.runtime.errors import Refusal


def refused(action) -> list[str]:
    """The fields named by the refusal."""
    with pytest.raises(Refusal) as caught:
        action()
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT
    bad = next(detail for detail in caught.value.details if isinstance(detail, BadRequest))
    return [violation.field for violation in bad.field_violations]


@pytest.mark.parametrize(
    "fields, named",
    [
        ({"user_id": ""}, ["user_id"]),
        ({"user_id": "u" * 129}, ["user_id"]),
        ({"session_id": "s" * 129}, ["session_id"]),
        ({"placement": "p" * 129}, ["placement"]),
        ({"page_size": -1}, ["page_size"]),
        ({"page_size": 501}, ["page_size"]),
        ({"exclude_item_ids": ["i"] * 10_001}, ["exclude_item_ids"]),
        ({"exclude_item_ids": ["i1", ""]}, ["exclude_item_ids[1]"]),
        ({"exclude_item_ids": ["i" * 129, "i1"]}, ["exclude_item_ids[0]"]),
        ({"min_consistency_token": "nonsense!"}, ["min_consistency_token"]),
        ({"min_consistency_token": "no-token", "page_size": 501}, ["min_consistency_token", "page_size"]),
        ({"user_id": "", "page_size": 501}, ["user_id", "page_size"]),
    ],
)
def test_each_bad_field_is_named(fields, named):
    assert refused(lambda: check(RecommendRequest(**{"user_id": "u1", **fields}))) == named


@pytest.mark.parametrize("page_size", [0, 1, 500])
def test_a_good_request_passes(page_size):
    check(RecommendRequest(user_id="u1", page_size=page_size))


def test_a_token_asks_for_the_position_of_the_users_partition():
    token = encode_token({3: 17, 4: 99})
    assert [min_position(token, partition) for partition in (3, 4, 5)] == [17, 99, 0]
    assert min_position("", 3) == 0


@pytest.mark.parametrize(
    "fields, named",
    [
        ({"user_id": ""}, ["user_id"]),
        ({"session_id": "s" * 129}, ["session_id"]),
        ({"placement": "p" * 129}, ["placement"]),
        ({"item_ids": []}, ["item_ids"]),
        ({"item_ids": map(str, range(501))}, ["item_ids"]),
        ({"item_ids": ["a", ""]}, ["item_ids[1]"]),
        ({"item_ids": ["i" * 129]}, ["item_ids[0]"]),
        ({"item_ids": ["a", "b", "a"]}, ["item_ids[2]"]),
    ],
)
def test_each_bad_field_of_candidates_is_named(fields, named):
    request = RankItemsRequest(**{"user_id": "u1", "item_ids": ["a"], **fields})
    assert refused(lambda: check_candidates(request)) == named


@pytest.mark.parametrize("again", [" sku-1", "sku-1\n", "cafe\u0301"])
def test_a_candidate_that_comes_again_in_another_spelling_is_named(again):
    request = RankItemsRequest(user_id="u1", item_ids=["sku-1", "caf\u00e9", again])
    assert refused(lambda: check_candidates(request)) == ["item_ids[2]"]


def test_as_many_candidates_as_are_allowed_pass():
    check_candidates(RankItemsRequest(user_id="u1", item_ids=map(str, range(500))))
