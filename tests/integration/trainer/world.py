"""A namespace with a log, an archive and a registry, events to learn from, and trainers to run."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.local.brokers import Brokers
from deploy.local.service import CHANNEL_OPTIONS
from deploy.local.suite import Suite, SuiteSettings, local_suite
from freshet.event.v1.event_pb2 import UserEvent
from freshet.trainer.v1 import trainer_pb2 as api
from freshet.trainer.v1.trainer_pb2_grpc import TrainerServiceStub
from services.trainer.runs.publishing import Publisher
from services.trainer.runs.training_run import Tools
from shared.adapters.jetstream.bundle_store import NatsBundleStore
from shared.adapters.jetstream.connection import nats_connection
from shared.adapters.jetstream.log_reader import LogRecord
from shared.adapters.jetstream.streams import Names, ensure_streams, last_position
from shared.adapters.postgres.archive import Archive
from shared.adapters.postgres.archive_batch import ArchiveBatch
from shared.adapters.postgres.database import database_engine, ensure_tables
from shared.adapters.postgres.model_erasures import ModelErasures
from shared.adapters.postgres.registry import ENDED, Registry
from shared.domain.stream_settings import StreamSettings
from tests.integration.forked import forked
from tests.integration.namespaces import SMALL, SMALL_SETTINGS

ITEMS = 60
WITHIN_SECONDS = 60.0
DEFAULTS = {
    "FRESHET_DRAIN_NOTICE_SECONDS": "0",
    **{f"FRESHET_{name.upper()}": value for name, value in SMALL_SETTINGS.items()},
    "FRESHET_TRAIN_INTERVAL_SECONDS": "0",
    "FRESHET_TRAIN_EVERY_EVENTS": "0",
    "FRESHET_TRAIN_DRIFT_PSI": "0",
    "FRESHET_TRAIN_THREADS": "1",
    "FRESHET_TRAIN_NICENESS": "0",
}
_EPOCH_SECONDS = 1_700_000_000


def worlds() -> Iterator[str]:
    """Names of namespaces."""
    return (f"world{number}" for number in itertools.count())


async def eventually(condition: Callable[[], Awaitable[bool]], within: float = WITHIN_SECONDS) -> None:
    """Returns when the condition holds. Fails the test if it does not within `within` seconds."""
    deadline = time.monotonic() + within
    while not await condition():
        assert time.monotonic() < deadline, f"{condition} did not become true within {within:g} s"
        await asyncio.sleep(0.05)


def walks(users: range, stride: int = 1, length: int = 16) -> list[tuple[str, str]]:
    """(user, item) pairs: everybody walks round the ring of items in steps of `stride`, taking turns."""
    return [
        (f"user {user}", f"item {(7 * user + stride * step) % ITEMS}")
        for step in range(length)
        for user in users
    ]


@dataclass
class World:
    """One namespace."""

    brokers: Brokers
    directory: Path
    namespace: str
    nats: Client
    engine: AsyncEngine

    @classmethod
    @asynccontextmanager
    async def made(cls, brokers: Brokers, directory: Path, namespace: str) -> AsyncIterator[World]:
        """With streams and tables, and nothing in them."""
        async with (
            nats_connection(brokers.nats_url, "test") as nats,
            database_engine(brokers.database_url, namespace, "test") as engine,
        ):
            await ensure_streams(nats, Names(namespace), StreamSettings(retention=SMALL))
            await ensure_tables(engine, namespace)
            yield cls(brokers, directory / namespace, namespace, nats, engine)

    @property
    def names(self) -> Names:
        """Names in NATS."""
        return Names(self.namespace)

    @property
    def archive(self) -> Archive:
        """The archive."""
        return Archive(self.engine)

    @property
    def registry(self) -> Registry:
        """The registry."""
        return Registry(self.engine)

    def tools(self, store: NatsBundleStore | None = None) -> Tools:
        """Those of a trainer, with a bundle store that is watched, perhaps."""
        store = store or NatsBundleStore(self.nats, self.names)
        publisher, erasures = (
            Publisher(self.nats, self.names, self.registry, store),
            ModelErasures(self.engine),
        )
        return Tools(self.nats, self.names, self.archive, self.registry, store, publisher, erasures)

    async def happen(
        self, pairs: list[tuple[str, str]], archived: bool = True, tokens: Sequence[str] = ()
    ) -> int:
        """Each pair is a rating, in the log and, if `archived`, in the archive. tokens: attribution tokens of the first
        ratings. Returns the last position."""
        start = await last_position(self.nats, self.names)
        borne = itertools.chain(tokens, itertools.repeat(""))
        messages = [
            self._message(start + number, *pair, token)
            for number, (pair, token) in enumerate(zip(pairs, borne, strict=False), 1)
        ]
        for message in messages:
            await self.nats.publish(message.subject, message.payload)
        await self.nats.flush()
        await eventually(lambda: self._log_holds(messages[-1].position))
        if archived:
            batch = ArchiveBatch(messages[-1].position)
            batch.add_events(messages)
            await self.archive.write(batch)
        return messages[-1].position

    def _message(self, position: int, user: str, item: str, token: str) -> LogRecord:
        event = UserEvent(
            event_id=f"event {position}", event_type="rate", user_id=user, attribution_token=token
        )
        event.event_time.seconds = _EPOCH_SECONDS + position
        event.items.add(item_id=item)
        subject = self.names.event_subject(0, "rate")
        return LogRecord(position, subject, event.event_id, event.SerializeToString())

    async def _log_holds(self, position: int) -> bool:
        return await last_position(self.nats, self.names) >= position

    @asynccontextmanager
    async def trainer(self, **settings: str) -> AsyncIterator[Trainer]:
        """A trainer process; settings: FRESHET_... variables without the prefix, in lower case."""
        told = {f"FRESHET_{name.upper()}": value for name, value in settings.items()}
        suite_settings = SuiteSettings.on_free_ports(
            starter=forked,
            directory=self.directory,
            nats_url=self.brokers.nats_url,
            database_url=self.brokers.database_url,
            namespace=self.namespace,
            domain="video",
            services=("trainer",),
            environment={"trainer": {**DEFAULTS, **told}},
        )
        async with AsyncExitStack() as stack:
            suite = await stack.enter_async_context(local_suite(suite_settings))
            channel = grpc.aio.insecure_channel(suite.address("trainer"), options=CHANNEL_OPTIONS)
            yield Trainer(suite, TrainerServiceStub(await stack.enter_async_context(channel)))


@dataclass
class Trainer:
    """A trainer process and how to call it."""

    suite: Suite
    stub: TrainerServiceStub

    async def start(self, **request: object) -> api.TrainingRun:
        """A run that starts."""
        response = await self.stub.StartTraining(api.StartTrainingRequest(**request), wait_for_ready=True)
        return response.run

    async def get(self, run_id: str) -> api.TrainingRun:
        """A run as it is."""
        request = api.GetTrainingRunRequest(run_id=run_id)
        return (await self.stub.GetTrainingRun(request, wait_for_ready=True)).run

    async def watch(self, run_id: str) -> AsyncIterator[api.TrainingRun]:
        """A run as it goes."""
        async for answer in self.stub.WatchTrainingRun(api.WatchTrainingRunRequest(run_id=run_id)):
            yield answer.run

    async def trained(self, **request: object) -> api.TrainingRun:
        """A run from start to end."""
        run = await self.start(**request)
        async for latest in self.watch(run.run_id):
            run = latest
        return run

    async def learning(self) -> api.TrainingRun:
        """A run that has begun to learn."""
        run = await self.start()
        async for latest in self.watch(run.run_id):
            assert latest.state not in ENDED, latest.error
            if latest.step:
                return latest
        raise AssertionError("the watch ended before the run did")
