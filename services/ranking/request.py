"""What a ranking request must be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from freshet.ranking.v1.ranking_pb2 import RankItemsRequest, RecommendRequest
from shared.adapters.codecs.keys import spelt_alike
from shared.domain.consistency import MOST_PARTITIONS, MalformedTokenError, decode_token
from shared.domain.violation import Violation, missing_user, too_long, wrong_ids
from shared.runtime.errors import invalid_argument

MAX_PAGE_SIZE = 500
MAX_EXCLUDED = 10_000
MAX_CANDIDATES = 500


def check(request: RecommendRequest, partitions: int = MOST_PARTITIONS) -> None:
    """Raise INVALID_ARGUMENT naming every bad field. partitions: of the log."""
    if violations := list(_violations(request, partitions)):
        raise invalid_argument(violations)


def check_candidates(request: RankItemsRequest, partitions: int = MOST_PARTITIONS) -> None:
    """Raise INVALID_ARGUMENT naming every bad field. partitions: of the log."""
    if violations := [*_visitor(request, partitions), *_candidates(request.item_ids)]:
        raise invalid_argument(violations)


def _candidates(item_ids: Sequence[str]) -> Iterator[Violation]:
    if not 1 <= (number := len(item_ids)) <= MAX_CANDIDATES:
        yield Violation("item_ids", f"has {number:,}; must be 1 to {MAX_CANDIDATES}", "OUT_OF_RANGE")
        return
    first: dict[str, int] = {}
    yield from wrong_ids("item_ids", item_ids)
    for place, item_id in enumerate(item_ids):
        if (before := first.setdefault(spelt_alike(item_id), place)) != place:
            yield Violation(f"item_ids[{place}]", f"is item_ids[{before}] again; send each once", "DUPLICATE")


def _visitor(request: RecommendRequest | RankItemsRequest, partitions: int) -> Iterator[Violation]:
    yield from missing_user(request.user_id)
    for field in ("user_id", "session_id", "placement"):
        yield from too_long(field, getattr(request, field))
    yield from _token(request.min_consistency_token, partitions)


def _token(token: str, partitions: int) -> Iterator[Violation]:
    try:
        decode_token(token, partitions)
    except MalformedTokenError as error:
        yield Violation("min_consistency_token", str(error), "MALFORMED")


def _violations(request: RecommendRequest, partitions: int) -> Iterator[Violation]:
    yield from _visitor(request, partitions)
    if not 0 <= request.page_size <= MAX_PAGE_SIZE:
        yield Violation("page_size", f"is {request.page_size}; must be 0 to {MAX_PAGE_SIZE}", "OUT_OF_RANGE")
    if (number := len(request.exclude_item_ids)) > MAX_EXCLUDED:
        yield Violation("exclude_item_ids", f"has {number:,}; at most {MAX_EXCLUDED:,}", "OUT_OF_RANGE")
    else:
        yield from wrong_ids("exclude_item_ids", request.exclude_item_ids)


def min_position(token: str, partition: int) -> int:
    """What the token of a checked request asks of the user's partition; 0 for nothing."""
    return decode_token(token).get(partition, 0) if token else 0
