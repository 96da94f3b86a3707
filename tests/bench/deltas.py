"""How soon the served model has learned from what users do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np

from deploy.local.suite import SuiteSettings, local_suite
from shared.adapters.codecs.bundle import Bundle
from shared.adapters.jetstream.streams import last_position
from shared.client import user_event
from shared.domain.events.event import EventType
from shared.domain.models.item_rules import ItemRules, RulePlan
from shared.domain.models.mixture import Experts, Mixture
from tests.bench.numbers import percentile
from tests.bench.result import BenchError, Result, say
from tests.bench.traffic import other_traffic
from tests.bench.world import ITEMS, NAMESPACE, World

FEEDBACK = "feedback -> learned by the served model (deltas)"
P95_SECONDS = 10.0
TIMES = 20
RATE = 50
"""Events a second of other traffic."""
_OTHERS = 3
"""Users whose clicks teach one thing."""
_POLL_SECONDS = 0.02
_GIVE_UP_SECONDS = 60.0
_WEIGHT = 1.0
_PAGE = 500


async def measure_deltas(world: World) -> list[Result]:
    """The row of deltas: others click a, then b; until who last clicked a is shown b with a higher score."""
    say("deltas: a model with rules that know nothing, and a trainer")
    await world.promote(await world.store(await _unlearned(world)))
    await asyncio.sleep(1.0)  # until the model's view of the catalogue is up to date
    async with _trainer(world), other_traffic(world.suite.address("ingestion"), RATE, ITEMS):
        seconds = [await _learned(world, number) for number in range(TIMES)]
    say(f"deltas: p50 {percentile(seconds, 50):.2f} s, p95 {percentile(seconds, 95):.2f} s")
    return [_row(seconds)]


async def _unlearned(world: World) -> Bundle:
    """The world's model with rules; everything that has happened so far is taken for learned."""
    items = len(world.bundle.item_keys)
    total = np.full(items, RulePlan().shrinkage, np.float32)
    rules = ItemRules.of_rows(np.zeros(items + 1, np.int64), np.empty(0), np.empty(0), total)
    manifest = replace(
        world.bundle.manifest,
        log_to=await last_position(world.nats, world.names),
        mixture=Mixture(_WEIGHT, event_types=(int(EventType.CLICK),)),
    )
    return replace(world.bundle, manifest=manifest, experts=Experts(rules))


@asynccontextmanager
async def _trainer(world: World) -> AsyncIterator[None]:
    """A trainer in its default setting that starts no run."""
    environment = {
        "FRESHET_TRAIN_INTERVAL_SECONDS": "0",
        "FRESHET_TRAIN_EVERY_EVENTS": "0",
        "FRESHET_TRAIN_DRIFT_PSI": "0",
    }
    settings = SuiteSettings.on_free_ports(
        directory=world.directory / "trainer",
        nats_url=world.suite.nats_url,
        database_url=world.suite.database_url,
        namespace=NAMESPACE,
        domain=world.bundle.manifest.domain,
        services=("trainer",),
        log_level="warning",
        environment={"trainer": environment},
    )
    async with local_suite(settings):
        yield


async def _learned(world: World, number: int) -> float:
    """Seconds from the first click to the higher score."""
    before, after = f"item-{2 * number}", f"item-{2 * number + 1}"
    user = f"asking-{number}"
    written = await world.client.write_user_event(user_event("click", user, [before]))
    await world.client.get_user_features(user, written.consistency_token)
    known = await _score(world, user, after)
    started = time.monotonic()
    for other in range(_OTHERS):
        events = [user_event("click", f"other-{number}-{other}", [each]) for each in (before, after)]
        await world.client.batch_write_user_events(events)
    while await _score(world, user, after) <= known:
        if time.monotonic() - started > _GIVE_UP_SECONDS:
            raise BenchError(f"{after} behind {before} is not learned in {_GIVE_UP_SECONDS:.0f} s")
        await asyncio.sleep(_POLL_SECONDS)
    return time.monotonic() - started


async def _score(world: World, user: str, item: str) -> float:
    """What an answer of many items says; lower than all when it is not among them."""
    answer = await world.client.recommend(user, page_size=_PAGE)
    return next((each.score for each in answer.results if each.item_id == item), -np.inf)


def _row(seconds: list[float]) -> Result:
    p95 = percentile(seconds, 95)
    return Result(
        FEEDBACK,
        f"p95 <= {P95_SECONDS:.0f} s",
        f"p50 {percentile(seconds, 50):.2f} s, p95 {p95:.2f} s of {len(seconds)}",
        reached=p95 <= P95_SECONDS,
        details={"seconds": seconds},
    )
