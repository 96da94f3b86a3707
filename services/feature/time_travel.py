"""A user's state as it was at a past position, folded from the archive."""

from __future__ import annotations

from shared.adapters.archive import Archive
from shared.adapters.database import DEFECTS, UNAVAILABLE
from shared.adapters.event_codec import decode_batch
from shared.domain.state import FoldSettings, State, fold
from shared.domain.user_record import UserView
from shared.domain.violation import Violation
from shared.runtime.errors import invalid_argument, unavailable


async def user_as_of(
    archive: Archive, settings: FoldSettings, user_key: int, position: int
) -> UserView | None:
    """The user's state at `position`; None when nothing was known of them. Raises INVALID_ARGUMENT for a position that
    the archive does not hold yet, UNAVAILABLE while PostgreSQL is away."""
    try:
        archived = await archive.position()
        payloads = await archive.payloads_of(user_key, position)
    except DEFECTS:
        raise
    except UNAVAILABLE as error:
        raise unavailable("ARCHIVE_AWAY", "the archive is in PostgreSQL, which is away") from error
    if position > archived:
        rule = f"is {position}; the archive reaches to {archived}"
        raise invalid_argument([Violation("as_of_position", rule, "OUT_OF_RANGE")])
    state = State(settings, [user_key % settings.partitions])
    batch = decode_batch(payloads).batch
    fold(state, batch)
    return state.users.read(user_key)
