"""Finds what the streams hold of a user: events, versions of the profile, exposures, dead letters.

Decision: the streams are looked through, not the archive's index. The archive leaves out an event whose id it knows
already and a message that no projection can read; both may speak of the user.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from nats.aio.client import Client

from freshet.ingestion.v1.ingestion_pb2 import ErasureReceipt
from shared.adapters.codecs.belonging import event_is_of, exposure_is_of, letter_is_of
from shared.adapters.codecs.keys import partition_of
from shared.adapters.jetstream.scanning import StoredMessage, Stretch, last_sequence, scan
from shared.adapters.jetstream.streams import Names

OnProgress = Callable[[str, int], None]
"""Told the name of a stream, such as "EVENTS", and up to where it was looked through."""
_REDRIVES = ("rejected.v1.redrives.", "rejected.v1.redrive_ids.")


class Reach(NamedTuple):
    """A place in each stream, by sequence."""

    events: int = 0
    exposures: int = 0
    dead_letters: int = 0


BEGINNING = Reach()


@dataclass(frozen=True, slots=True)
class Traces:
    """Sequences of a user's messages, ascending. `redrives` are the records of how `dead_letters` were sent again, and
    the ids of what they became."""

    events: list[int] = field(default_factory=list)
    profiles: list[int] = field(default_factory=list)
    exposures: list[int] = field(default_factory=list)
    dead_letters: list[int] = field(default_factory=list)
    redrives: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any((self.events, self.profiles, self.exposures, self.dead_letters, self.redrives))


def reach_of(receipt: ErasureReceipt) -> Reach:
    """Up to where the erasure of a receipt went."""
    return Reach(receipt.position, receipt.exposures_sequence, receipt.dead_letters_sequence)


class TraceFinder:
    """Looks through the streams of one namespace, whose log has `partitions`.

    Raises StreamError, and what nats-py raises while NATS is away.
    """

    def __init__(self, connection: Client, names: Names, partitions: int) -> None:
        self._connection = connection
        self._names = names
        self.partitions = partitions

    async def ends(self, events: int = 0) -> Reach:
        """The last sequences of the streams now; `events` stands for that of the log if it is given."""
        return Reach(
            events or await last_sequence(self._connection, self._names.events),
            await last_sequence(self._connection, self._names.stream("EXPOSURES")),
            await last_sequence(self._connection, self._names.stream("REJECTED")),
        )

    async def find(
        self, key: int, end: Reach, after: Reach = BEGINNING, on_progress: OnProgress = lambda *_: None
    ) -> Traces:
        """What lies behind `after`, up to `end`. Of exposures only those of the user's state before `end.events`."""
        found = Traces()
        await self._find_in_log(found, key, (after.events + 1, end.events), on_progress)
        await self._find_letters(found, key, (after.dead_letters + 1, end.dead_letters), on_progress)
        bounds = (after.exposures + 1, end.exposures)
        found.exposures.extend(await self.find_exposures(key, bounds, (0, end.events), on_progress))
        return found

    async def find_exposures(
        self, key: int, bounds: tuple[int, int], states: tuple[int, int], on_progress: OnProgress
    ) -> list[int]:
        """Exposures of a user within `bounds` that were served from a state of the positions states[0] up to but not
        including states[1]; position 0 is that of no state."""
        subject, found = f"exposures.v1.{partition_of(key, self.partitions)}", []
        async for message in self._messages("EXPOSURES", subject, bounds, on_progress):
            if exposure_is_of(key, message.payload, states):
                found.append(message.sequence)
        return found

    async def _find_in_log(
        self, found: Traces, key: int, bounds: tuple[int, int], on_progress: OnProgress
    ) -> None:
        events = f"events.v1.{partition_of(key, self.partitions)}.*"
        async for message in self._messages("EVENTS", events, bounds, on_progress):
            if event_is_of(key, message.payload, message.headers):
                found.events.append(message.sequence)
        profile = self._names.user_subject(key)
        async for batch in scan(self._connection, Stretch(self._names.events, profile, bounds[1], bounds[0])):
            found.profiles.extend(message.sequence for message in batch)

    async def _find_letters(
        self, found: Traces, key: int, bounds: tuple[int, int], on_progress: OnProgress
    ) -> None:
        redrives, letters = tuple(map(self._names.subject, _REDRIVES)), set()
        async for message in self._messages("REJECTED", "rejected.v1.>", bounds, on_progress):
            if message.subject.startswith(redrives):
                if message.subject.rpartition(".")[2] in letters:
                    found.redrives.append(message.sequence)
            elif letter_is_of(key, message.payload):
                letters.add(dead_letter_id(message.sequence))
                found.dead_letters.append(message.sequence)

    async def _messages(
        self, stream: str, subject: str, bounds: tuple[int, int], on_progress: OnProgress
    ) -> AsyncIterator[StoredMessage]:
        stretch = Stretch(
            self._names.stream(stream), self._names.subject(subject), last=bounds[1], first=bounds[0]
        )
        async for batch in scan(self._connection, stretch):
            for message in batch:
                yield message
            if batch:
                on_progress(stream, batch[-1].sequence)
        on_progress(stream, bounds[1])


def dead_letter_id(sequence: int) -> str:
    """The id of the dead letter at `sequence` of REJECTED, as it stands in the subjects of its redrives."""
    return str(sequence)
