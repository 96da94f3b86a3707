"""One run from start to proof."""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.suite import Suite, SuiteSettings, local_suite
from services.console.log.log_fold import open_log
from shared.adapters.jetstream.connection import nats_connection
from shared.adapters.jetstream.streams import Names
from shared.adapters.postgres.database import database_engine
from shared.client import Addresses, FreshetClient
from shared.client.patience import Patience, write_all
from tests.chaos.check import SHOWN, Check
from tests.chaos.health import Memory, no_consumer_stuck, no_process_left
from tests.chaos.injector import FaultRecord, Injector
from tests.chaos.ledger import Ledger
from tests.chaos.load import Load
from tests.chaos.log_facts import scan
from tests.chaos.plan import SERVICES, make_plan
from tests.chaos.proof import Proof
from tests.chaos.readers import Readers
from tests.chaos.shoppers import catalogue
from tests.chaos.visitors import Visitors
from tests.conditions import eventually

NAMESPACE = "chaos"
TOLD_SECONDS = 2.0
PAUSE_SECONDS = 0.015
DRAIN_SECONDS = 60.0
TOLD = ("accepted", "duplicate", "at the door", "erased")
ANSWERED = ("recommend reflects its token", "features reflects its token")
"""What must have happened: where nothing is answered, nothing is answered wrongly."""
ENVIRONMENT = {
    "FRESHET_DUPLICATE_WINDOW_SECONDS": "1",
    "FRESHET_DRAIN_NOTICE_SECONDS": "0",
    "FRESHET_CHECKPOINT_SECONDS": "2",
    "FRESHET_ERASURE_SETTLE_SECONDS": "0.2",
}


@dataclass
class Run:
    """What a run did and what it proved."""

    seed: int
    asked_kills: int
    ledger: Ledger = field(default_factory=Ledger)
    faults: FaultRecord = field(default_factory=FaultRecord)
    checks: list[Check] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)


async def run_chaos(run: Run, minutes: float, directory: Path, tell: Callable[[str], None]) -> None:
    """Start, load, kill, stop, prove; `run` is filled in. Raises LauncherError when the suite does not start."""
    async with AsyncExitStack() as stack:
        suite = await stack.enter_async_context(local_suite(_settings(directory)))
        injector = Injector(suite)
        run.faults = injector.record
        addresses = Addresses(**{name: suite.address(name) for name in SERVICES})
        client = await stack.enter_async_context(FreshetClient(addresses))
        await write_all(client.upsert_items, catalogue(), Patience(DRAIN_SECONDS))
        memory = Memory(injector)
        async with _in_background(memory.run), _in_background(lambda: _told(run, tell)):
            await _storm(run, suite, client, injector, minutes * 60)
            tell("everything runs again; proving")
            run.checks += await _prove_if_possible(run, suite, client, injector)
        run.checks += [memory.check(), _faults_check(run), _answers_check(run)]
    run.checks.append(no_process_left(injector.pids, directory))


def _settings(directory: Path) -> SuiteSettings:
    return SuiteSettings.on_free_ports(
        directory=directory,
        namespace=NAMESPACE,
        domain="e-commerce",
        services=SERVICES,
        log_level="warning",
        environment={name: ENVIRONMENT for name in SERVICES},
    )


async def _storm(run: Run, suite: Suite, client: FreshetClient, injector: Injector, seconds: float) -> None:
    """Faults under load; at the end everything runs and all senders have stopped."""
    started = time.monotonic()
    async with nats_connection(suite.nats_url, "chaos") as connection:
        load = Load(client, connection, Names(NAMESPACE), run.ledger, run.seed)
        visitors = Visitors(client, run.ledger, run.seed)
        async with _in_background(Readers(client, run.ledger, run.seed).run), asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run(PAUSE_SECONDS))
            tasks.create_task(visitors.run())
            await injector.run(make_plan(run.seed, run.asked_kills, seconds), started + seconds)
            load.stop()
            visitors.stop()
        run.seconds = time.monotonic() - started


async def _prove_if_possible(
    run: Run, suite: Suite, client: FreshetClient, injector: Injector
) -> list[Check]:
    """The proof, or what came in its way: the rest of the report is of use all the same."""
    try:
        return await _prove(run, suite, client, injector)
    except Exception as error:
        return [Check(1, "the proof can be made", repr(error)[:200], {"error": traceback.format_exc()})]


async def _prove(run: Run, suite: Suite, client: FreshetClient, injector: Injector) -> list[Check]:
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(open_log(suite.nats_url, NAMESPACE))
        engine = await stack.enter_async_context(database_engine(suite.database_url, NAMESPACE, "chaos"))

        async def door_is_empty() -> bool:
            info = await log.connection.jetstream().stream_info(log.names.stream("INGEST"))
            return info.state.messages == 0

        await eventually(door_is_empty, timeout=DRAIN_SECONDS)
        facts = await scan(log)
        proof = Proof(facts, run.ledger, log, client, engine, lambda: injector.kill_once_more("feature"))
        return [*await proof.all(), await no_consumer_stuck(log.connection, log.names)]


def _faults_check(run: Run) -> Check:
    faults, wrong = run.faults, {}
    if faults.total_kills < run.asked_kills:
        wrong["kills"] = faults.total_kills
    if faults.not_back:
        wrong["did not come back"] = faults.not_back
    if faults.self_ended:
        wrong["ended by themselves"] = faults.self_ended
    figures = (
        f"{faults.total_kills} kills ({_words(faults.kills)}), of which {faults.kills_at_start.total()} while "
        f"starting; {faults.pauses.total()} pauses ({_words(faults.pauses)}); {len(faults.self_ended)} ended by "
        f"themselves, {len(faults.failed_starts)} starts had to be repeated; longest time to come back "
        + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in sorted(faults.back_seconds.items()))
    )
    return Check(5, "every process came back", figures, wrong)


def _answers_check(run: Run) -> Check:
    ledger = run.ledger
    rate = len(ledger.acknowledged) / max(run.seconds, 1e-9)
    figures = (
        f"{rate:.0f} distinct events/s over {run.seconds:.0f} s, longest silence "
        f"{ledger.longest_silence_seconds:.1f} s; writes: {_words(ledger.told)}; reads: {_words(ledger.answers)}"
    )
    never = [each for each in TOLD if not ledger.told[each]]
    never += [each for each in ANSWERED if not ledger.answers[each]]
    found = {"violations": ledger.violations[:SHOWN], "never happened": never}
    wrong = {name: each for name, each in found.items() if each}
    return Check(5, "every answer was true or a typed error", figures, wrong)


def _words(counts) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in sorted(counts.items()))


async def _told(run: Run, tell: Callable[[str], None]) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(TOLD_SECONDS)
        tell(
            f"{time.monotonic() - began:4.0f} s  kills {run.faults.total_kills}/{run.asked_kills}  pauses "
            f"{run.faults.pauses.total()}  acknowledged {len(run.ledger.acknowledged):,}  duplicates refused "
            f"{run.ledger.told['duplicate']:,}  violations {len(run.ledger.violations)}"
        )


@asynccontextmanager
async def _in_background(work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
