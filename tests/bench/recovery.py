"""How long the feature service takes to come back after SIGKILL."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import replace

import grpc

from deploy.local.ports import free_ports
from deploy.local.suite import Suite, local_suite
from freshet.feature.v1.feature_pb2 import GetStateDigestRequest, GetStateDigestResponse
from freshet.feature.v1.feature_pb2_grpc import FeatureServiceStub
from freshet.feature.v1.state_pb2 import ReadUserStatesRequest
from freshet.feature.v1.state_pb2_grpc import StateServiceStub
from services.console.log.log_fold import fold_log, open_log
from services.console.log.replay_check import fold_settings
from shared.adapters.codecs.keys import partition_of, user_key
from shared.adapters.jetstream.connection import nats_connection
from shared.adapters.jetstream.log_writer import Appended, LogWriter, Record
from shared.adapters.jetstream.streams import Names
from shared.client import user_event
from shared.domain.fold.state import State
from shared.domain.fold.state_digest import digests
from tests.bench.result import BenchError, Result, say
from tests.bench.world import World

EVENTS, FULL_EVENTS = 100_000, 1_000_000
BUDGET_SECONDS = 20.0
EVENTS_A_USER = 20
PARTITIONS = 16
NAMESPACE = "bench_recovery"
_LONG_SECONDS = 600.0
_AT_ONCE = 5_000


async def measure_recovery(world: World, events: int) -> list[Result]:
    """The row of recovery, with a feature service of its own on the same brokers."""
    settings = replace(
        world.suite.settings,
        namespace=NAMESPACE,
        services=("feature",),
        nats_url=world.suite.nats_url,
        database_url=world.suite.database_url,
        directory=world.directory / "recovery",
        metrics_ports={"feature": free_ports(1)[0]},
        ready_seconds=600.0,
    )
    async with local_suite(settings) as suite:
        say(f"recovery: writing {events:,} events")
        last = await _write(suite, events)
        await _digests(suite, last)
        await suite.kill("feature")
        started = time.monotonic()
        await suite.start("feature")
        seconds = time.monotonic() - started
        say(f"recovery: {seconds:.1f} s; folding the log anew")
        await _prove(suite, await _digests(suite, last))
    return [_row(events, seconds)]


def _row(events: int, seconds: float) -> Result:
    return Result(
        f"feature recovery after SIGKILL, {events:,} events",
        f"<= {BUDGET_SECONDS:.0f} s at {FULL_EVENTS:,}",
        f"{seconds:.1f} s to SERVING, digest equal to a clean replay",
        reached=seconds <= BUDGET_SECONDS if events >= FULL_EVENTS else None,
        details={"events": events, "seconds": seconds},
    )


async def _write(suite: Suite, events: int) -> int:
    """Append events to the log directly; the position of the last."""
    last = 0
    async with nats_connection(suite.nats_url, "bench") as nats:
        writer = LogWriter(nats)
        running = asyncio.create_task(writer.run())
        for start in range(0, events, _AT_ONCE):
            numbers = range(start, min(start + _AT_ONCE, events))
            answers = await writer.append([_record(number, events) for number in numbers])
            if not all(isinstance(answer, Appended) for answer in answers):
                raise BenchError("the log did not take the events")
            last = answers[-1].position
        running.cancel()
    return last


def _record(number: int, events: int) -> Record:
    user = _user(number, events)
    event = user_event("click", user, [f"item-{number % 3_700}"], event_id=uuid.uuid4().hex)
    event.event_time.FromMilliseconds(1_700_000_000_000 + number)
    event.ingest_time.CopyFrom(event.event_time)
    subject = Names(NAMESPACE).event_subject(partition_of(user_key(user), PARTITIONS), event.event_type)
    return Record(subject, event.event_id, event.SerializeToString())


def _user(number: int, events: int) -> str:
    return f"user-{number % (events // EVENTS_A_USER)}"


async def _digests(suite: Suite, position: int) -> GetStateDigestResponse:
    """The digests of the live state, once `position` is folded."""
    async with grpc.aio.insecure_channel(suite.address("feature")) as channel:
        await _reach(StateServiceStub(channel), position)
        return await FeatureServiceStub(channel).GetStateDigest(
            GetStateDigestRequest(), timeout=_LONG_SECONDS
        )


async def _reach(stub: StateServiceStub, position: int) -> None:
    request = ReadUserStatesRequest(user_keys=[0], min_positions=[position], wait_seconds=_LONG_SECONDS)
    states = await stub.ReadUserStates(request, timeout=_LONG_SECONDS)
    if states.positions[0] < position:
        raise BenchError("the log was not folded to its end")


async def _prove(suite: Suite, served: GetStateDigestResponse) -> None:
    """Fold the whole log in this process and compare. Raises BenchError when a digest differs."""
    limits = {each.partition: int(each.position) for each in served.partition_digests}
    async with open_log(suite.nats_url, NAMESPACE) as log:
        state = await fold_log(log, State(fold_settings(served.fold, None)), limits, lambda position: None)
    if [each.digest for each in digests(state, limits)] != [each.digest for each in served.partition_digests]:
        raise BenchError("the digest after recovery is not that of a clean replay")
