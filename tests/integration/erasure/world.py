"""A namespace in which users leave traces, and what is found of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from freshet.catalog.v1.user_pb2 import User
from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1.ingestion_pb2 import DeadLetter, ErasureReceipt, Redrive
from freshet.log.v1.log_pb2 import Exposure
from shared.adapters.codecs.keys import partition_of, user_key
from shared.adapters.jetstream.scanning import Stretch, scan
from shared.adapters.jetstream.streams import last_position
from shared.adapters.jetstream.user_traces import TraceFinder
from shared.adapters.postgres.archive import Archive
from shared.adapters.postgres.erasure_store import ErasureStore
from shared.adapters.postgres.registry import RegisteredModel, Registry
from tests.builders import message
from tests.conditions import eventually
from tests.integration.namespaces import Namespace
from tests.integration.services.conftest import Running

PARTITIONS = 16
FOR_EVER = 1 << 62
DAY = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass
class ErasureWorld:
    """One namespace; `running` are its services, if it has any."""

    space: Namespace
    running: Running | None = None

    @property
    def finder(self) -> TraceFinder:
        """Looks for traces."""
        return TraceFinder(self.space.nats, self.space.names, PARTITIONS)

    async def act(self, user: str, number: int, prefix: str = "") -> list[int]:
        """Events of a user through the service; their positions."""
        events = [message(user_id=user, event_id=f"{prefix}{user}-{each}") for each in range(number)]
        written = await self.running.client.batch_write_user_events(events)
        return [outcome.position for outcome in written.outcomes]

    async def publish(self, subject: str, payload: bytes) -> int:
        """A message put straight into a stream; its sequence."""
        stored = await self.space.nats.jetstream().publish(self.space.names.subject(subject), payload)
        return stored.seq

    async def show(self, user: str, position: int) -> int:
        """An exposure that was served from the user's state at `position` of the log."""
        exposure = Exposure(attribution_token="t", user_id=user, position=position)
        subject = f"exposures.v1.{partition_of(user_key(user), PARTITIONS)}"
        return await self.publish(subject, exposure.SerializeToString())

    async def refuse(self, payload: bytes, redriven: bool = False) -> int:
        """A dead letter, with the record of a redrive and the id it gave if wanted."""
        letter = DeadLetter(payload=payload, subject=self.space.names.door)
        sequence = await self.publish("rejected.v1.events", letter.SerializeToString())
        if redriven:
            await self.publish(f"rejected.v1.redrive_ids.{sequence}", b"e")
            await self.publish(f"rejected.v1.redrives.{sequence}", Redrive(event_id="e").SerializeToString())
        return sequence

    async def describe(self, user: str, language: str) -> int:
        """A version of a user's profile."""
        payload = User(user_id=user, language=language).SerializeToString()
        return await self.publish(f"users.v1.{user_key(user):016x}", payload)

    async def leave_traces(self, user: str, events: int = 3) -> int:
        """Events, two versions of the profile, two exposures, and two dead letters, one of them redriven. Returns the
        position of the first event."""
        positions = await self.act(user, events)
        last = positions[-1]
        for number in range(2):
            await self.describe(user, f"l{number}")
            await self.show(user, last - number)
        await self.refuse(message("stare", user_id=user).SerializeToString())
        await self.refuse(json.dumps({"userId": user}).encode(), redriven=True)
        await eventually(lambda: self.archived(last))
        return positions[0]

    async def events_of(self, user: str) -> list[UserEvent]:
        """The events of a user in the log, in its order."""
        subject = self.space.names.event_subject(partition_of(user_key(user), PARTITIONS), "*")
        last = await last_position(self.space.nats, self.space.names)
        batches = scan(self.space.nats, Stretch(self.space.names.events, subject, last))
        events = [UserEvent.FromString(each.payload) async for batch in batches for each in batch]
        return [each for each in events if each.user_id == user]

    async def archived(self, position: int) -> bool:
        """Whether the archive has come to a position."""
        return await Archive(self.space.engine).position() >= position

    async def register_model(self, version: str, trained_to: int) -> None:
        """A model that learned from the log up to a position."""
        model = RegisteredModel(
            version, f"digest {version}", "run", DAY, False, False, "", trained_to, 1, {}
        )  # fmt: skip
        await Registry(self.space.engine).register(model)

    async def holds_of(self, user: str) -> dict[str, int]:
        """How much of a user there is, by kind."""
        end = await self.finder.ends()
        traces = await self.finder.find(user_key(user), end._replace(events=end.events + 1))
        rows = await ErasureStore(self.space.engine).count_rows(user_key(user), FOR_EVER)
        kinds = ("events", "profiles", "exposures", "dead_letters", "redrives")
        return {"rows": rows["event"], **{kind: len(getattr(traces, kind)) for kind in kinds}}

    async def erase(self, user: str, timeout_seconds: float = 30.0) -> ErasureReceipt:
        """Ask the service to erase a user."""
        client = self.running.client.with_options(timeout_seconds=timeout_seconds)
        return (await client.erase_user(user)).receipt


def counts(receipt: ErasureReceipt) -> dict[str, int]:
    """The numbers of a receipt, by the kinds of `holds_of` but for redrives, which it does not count."""
    return {
        "rows": receipt.deleted_archive_rows,
        "events": receipt.deleted_events,
        "profiles": receipt.deleted_profiles,
        "exposures": receipt.deleted_exposures,
        "dead_letters": receipt.deleted_dead_letters,
    }


NOTHING = dict.fromkeys(("rows", "events", "profiles", "exposures", "dead_letters", "redrives"), 0)
TRACES = {"rows": 3, "events": 3, "profiles": 2, "exposures": 2, "dead_letters": 2, "redrives": 2}


def without_redrives(numbers: dict[str, int]) -> dict[str, int]:
    """The kinds that a receipt counts."""
    return {kind: number for kind, number in numbers.items() if kind != "redrives"}
