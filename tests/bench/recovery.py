"""How long the feature service takes to come back after SIGKILL."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import replace

import grpc

from deploy.local.ports import free_ports
from deploy.local.suite import Suite, local_suite
from freshet.feature.v1.state_pb2 import ReadUserStatesRequest, ReadUserStatesResponse
from freshet.feature.v1.state_pb2_grpc import StateServiceStub
from shared.adapters.connection import nats_connection
from shared.adapters.keys import partition_of, user_key
from shared.adapters.log_writer import Appended, LogWriter, Record
from shared.adapters.streams import Names
from shared.client import user_event
from tests.bench.result import BenchError, Result, say
from tests.bench.world import World

EVENTS, FULL_EVENTS = 100_000, 1_000_000
BUDGET_SECONDS = 20.0
EVENTS_A_USER = 20
PARTITIONS = 16
NAMESPACE = "bench_recovery"
_SAMPLE = 1_000
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
        folded = await _states(suite, events, last)
        await suite.kill("feature")
        started = time.monotonic()
        await suite.start("feature")
        seconds = time.monotonic() - started
        if await _states(suite, events, last) != folded:
            raise BenchError("states after recovery differ from those before the kill")
    say(f"recovery: {seconds:.1f} s")
    return [_row(events, seconds)]


def _row(events: int, seconds: float) -> Result:
    return Result(
        f"feature recovery after SIGKILL, {events:,} events",
        f"<= {BUDGET_SECONDS:.0f} s at {FULL_EVENTS:,}",
        f"{seconds:.1f} s to SERVING, {_SAMPLE} states equal",
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


async def _states(suite: Suite, events: int, position: int) -> ReadUserStatesResponse:
    """A sample of states, once `position` is folded."""
    keys = [user_key(_user(number, events)) for number in range(_SAMPLE)]
    async with grpc.aio.insecure_channel(suite.address("feature")) as channel:
        request = ReadUserStatesRequest(
            user_keys=keys, min_positions=[position] * len(keys), wait_seconds=600.0
        )
        states = await StateServiceStub(channel).ReadUserStates(request, timeout=600)
    if min(states.positions) < position:
        raise BenchError("the log was not folded to its end")
    del states.positions[:]
    return states
