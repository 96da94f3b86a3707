"""What was known of a user at a past position: behaviour folded from the archive, the profile read from the log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import nats.errors
import nats.js.errors
from nats.aio.client import Client

from freshet.catalog.v1.user_pb2 import User
from services.feature.erasures import Erasures
from shared.adapters.codecs.event_codec import decode_batch
from shared.adapters.jetstream.streams import Names, StreamError, log_bounds
from shared.adapters.postgres.archive import Archive
from shared.adapters.postgres.database import DEFECTS, UNAVAILABLE, within
from shared.adapters.postgres.user_profiles import profile_as_of
from shared.domain.fold.state import FoldSettings, State, fold
from shared.domain.users.user_record import UserView
from shared.domain.violation import Violation
from shared.runtime.errors import archive_behind, invalid_argument, unavailable

FOLD_AT_ONCE = 64
"""Events folded before other work of the process has its turn, about 7 ms: those of one user take the fold a round
each."""
_POLL_SECONDS = 0.02
_LOOK_SECONDS = 0.1
"""So long before the end the archive is looked at for the last time."""


class PastUser(NamedTuple):
    """A user at a past position; None where nothing was known."""

    user: UserView | None
    profile: User | None


class Past:
    """Goes back in the log. Of a user who was erased it tells nothing from before the erasure."""

    def __init__(
        self, settings: FoldSettings, archive: Archive, connection: Client, names: Names, erasures: Erasures
    ) -> None:
        self._settings = settings
        self._archive = archive
        self._connection = connection
        self._names = names
        self._erasures = erasures

    async def at(self, user_key: int, position: int, wait_seconds: float) -> PastUser:
        """The user at `position`. Raises INVALID_ARGUMENT for a position that the log does not hold,
        FAILED_PRECONDITION when the archive does not come to it in time, UNAVAILABLE while it or the log is away."""
        while True:
            after = self._erasures.erased_at(user_key)
            past = await self._behind(after, user_key, position, wait_seconds)
            if after == self._erasures.erased_at(user_key):  # else an erasure was asked for meanwhile
                return past

    async def _behind(self, after: int, user_key: int, position: int, wait_seconds: float) -> PastUser:
        """The user at `position`, of what lies behind `after`."""
        with _unavailable("LOG_AWAY", "the log is in NATS, which is away"):
            async with asyncio.timeout(wait_seconds):
                await self._check(position)
                profile = await profile_as_of(self._connection, self._names, user_key, position, after)
        with _unavailable("ARCHIVE_AWAY", "the archive is in PostgreSQL, which is away"):
            payloads = await self._payloads(user_key, position, wait_seconds)
        user = await self._folded(user_key, [each for each in payloads if each[0] > after])
        return PastUser(user, profile)

    async def _check(self, position: int) -> None:
        bounds = await log_bounds(self._connection, self._names)
        if not bounds.first <= position <= bounds.last:
            rule = f"is {position}; the log holds {bounds.first} to {bounds.last}"
            raise invalid_argument([Violation("as_of_position", rule, "OUT_OF_RANGE")])

    async def _payloads(self, user_key: int, position: int, wait_seconds: float) -> list[tuple[int, bytes]]:
        """The user's events, once the archive has come to `position`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_seconds
        while (archived := await within(deadline - loop.time(), self._archive.position())) < position:
            if loop.time() + _LOOK_SECONDS > deadline:
                raise archive_behind(f"the archive is at {archived}, not yet at {position}")
            await asyncio.sleep(_POLL_SECONDS)
        return await within(deadline - loop.time(), self._archive.payloads_of(user_key, position))

    async def _folded(self, user_key: int, payloads: list[tuple[int, bytes]]) -> UserView | None:
        state = State(self._settings, [user_key % self._settings.partitions])
        for start in range(0, len(payloads), FOLD_AT_ONCE):
            fold(state, decode_batch(payloads[start : start + FOLD_AT_ONCE]).batch)
            await asyncio.sleep(0)
        return state.users.read(user_key)


@contextmanager
def _unavailable(reason: str, message: str) -> Iterator[None]:
    """What a broker's absence raises becomes UNAVAILABLE."""
    try:
        yield
    except DEFECTS:
        raise
    except (nats.errors.Error, nats.js.errors.Error, StreamError, *UNAVAILABLE) as error:
        raise unavailable(reason, message) from error
