"""What a ranking request must be."""

from __future__ import annotations

from collections.abc import Iterator

from freshet.ranking.v1.ranking_pb2 import RecommendRequest
from shared.domain.consistency import MalformedTokenError, decode_token
from shared.domain.violation import Violation
from shared.runtime.errors import invalid_argument

MAX_PAGE_SIZE = 500
MAX_EXCLUDED = 10_000
ID_CHARACTERS = 128


def check(request: RecommendRequest) -> None:
    """Raise INVALID_ARGUMENT naming every bad field."""
    if violations := list(_violations(request)):
        raise invalid_argument(violations)


def _violations(request: RecommendRequest) -> Iterator[Violation]:
    if not request.user_id:
        yield Violation("user_id", f"is required, 1 to {ID_CHARACTERS} characters", "REQUIRED")
    for field in ("user_id", "session_id", "placement"):
        if (length := len(getattr(request, field))) > ID_CHARACTERS:
            yield Violation(field, f"has {length} characters; at most {ID_CHARACTERS}", "OUT_OF_RANGE")
    if not 0 <= request.page_size <= MAX_PAGE_SIZE:
        yield Violation("page_size", f"is {request.page_size}; must be 0 to {MAX_PAGE_SIZE}", "OUT_OF_RANGE")
    if (number := len(request.exclude_item_ids)) > MAX_EXCLUDED:
        yield Violation("exclude_item_ids", f"has {number:,}; at most {MAX_EXCLUDED:,}", "OUT_OF_RANGE")


def min_position(token: str, partition: int) -> int:
    """What the token asks of the user's partition; 0 for nothing. Raises INVALID_ARGUMENT for a malformed token."""
    if not token:
        return 0
    try:
        return decode_token(token).get(partition, 0)
    except MalformedTokenError as error:
        raise invalid_argument([Violation("min_consistency_token", str(error), "MALFORMED")]) from None
