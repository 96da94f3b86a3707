"""Which models are loaded, and how often, when brokers and bundles fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from freshet.log.v1.log_pb2 import ModelEvent
from services.ranking.model import model_watch
from services.ranking.model.loading import ModelRefusedError, ModelUnavailableError
from services.ranking.model.model_slot import ModelSlot
from services.ranking.model.model_watch import ModelWatch
from services.ranking.model.scorer import Scorer
from shared.adapters.jetstream.log_reader import LogMessage
from shared.domain.models.promotions import Cause, Promotion
from tests.conditions import eventually
from tests.unit.ranking.model import catalogue, sum_bundle

WHEN = datetime(2025, 1, 1, tzinfo=UTC)
GOOD, BAD = sum_bundle(), "bad"


class Registry:
    """Says that the bad model is champion, behind the good one; PostgreSQL is away at the first questions."""

    def __init__(self, away: int) -> None:
        self.away, self.promotions = away, self

    def ask(self) -> None:
        self.away -= 1
        if self.away >= 0:
            raise ConnectionRefusedError("PostgreSQL is away")

    async def champion(self) -> SimpleNamespace:
        self.ask()
        return SimpleNamespace(bundle_digest=BAD, create_time=WHEN)

    async def history(self) -> list[Promotion]:
        self.ask()
        return [Promotion(each, Cause.TRAINING, "better", "", WHEN) for each in ("good", "bad")]

    async def model(self, version: str) -> SimpleNamespace:
        return SimpleNamespace(bundle_digest=GOOD.digest, create_time=WHEN)


class Watch(ModelWatch):
    """Hears announcements of the bad model, as many as it is told."""

    announcements = 1

    async def _announcements(self, connection: object, names: object) -> AsyncIterator[None]:
        for position in range(self.announcements):
            payload = ModelEvent(model_version=BAD, bundle_digest=BAD).SerializeToString()
            self._note(LogMessage(position, "models.v1.promoted", payload, 0))
            yield


@pytest.fixture
def loads(monkeypatch) -> list[str]:
    """The digests that were loaded; failures are followed by the next attempt at once."""
    monkeypatch.setattr(model_watch, "RETRY_SECONDS", 0.0)
    return []


def watch(loads: list[str], away: int) -> Watch:
    async def load(digest: str, share: float) -> Scorer:
        loads.append(digest)
        if digest == BAD:
            raise ModelRefusedError("no graph")
        return Scorer(GOOD)

    return Watch(ModelSlot(catalogue()), Registry(away), load)


async def test_a_refused_champion_is_loaded_once_however_long_the_one_before_it_cannot_be_asked_for(loads):
    watching = watch(loads, away=10)
    await watching.run(None, None)
    assert loads == [BAD, GOOD.digest]
    assert [each.model_version for each in watching.slot.refused] == [BAD]
    assert watching.slot.current.scorer.digest == GOOD.digest


async def test_a_refused_champion_is_loaded_anew_when_it_is_announced_anew(loads):
    watching = watch(loads, away=0)
    watching.announcements = 2
    await watching.run(None, None)
    assert loads == [BAD, GOOD.digest, BAD]


async def test_a_model_beside_one_that_serves_is_loaded_in_its_share_of_the_time_and_the_first_one_in_all_of_it():
    shares = []

    async def load(digest: str, share: float) -> Scorer:
        shares.append(share)
        return Scorer(GOOD)

    watching = Watch(ModelSlot(catalogue()), Registry(away=0), load, share=0.25)
    await watching.run(None, None)
    watching.slot.outdated.set()
    task = asyncio.create_task(watching.renew())
    await eventually(lambda: len(shares) == 2)
    task.cancel()
    assert shares == [1.0, 0.25]


async def test_an_outdated_model_is_loaded_anew_as_soon_as_it_can_be_and_serves_on_until_then(loads):
    watching = watch(loads, away=0)
    slot, first = watching.slot, Scorer(GOOD)
    await slot.swap(first, WHEN)
    served = []

    async def load(digest: str, share: float) -> Scorer:
        loads.append(digest)
        served.append(slot.current.scorer)
        if len(loads) < 3:
            raise ModelUnavailableError("the store is away")
        return Scorer(GOOD)

    watching.load = load
    task = asyncio.create_task(watching.renew())
    slot.outdated.set()
    await eventually(lambda: slot.current.scorer is not first)
    task.cancel()
    assert (loads, served) == ([GOOD.digest] * 3, [first] * 3)
    assert not slot.outdated.is_set() and slot.current.create_time == WHEN


async def test_an_outdated_model_that_is_refused_now_serves_on_and_is_not_tried_again(loads):
    watching = watch(loads, away=0)
    await watching.slot.swap(Scorer(GOOD), WHEN)

    async def load(digest: str, share: float) -> Scorer:
        loads.append(digest)
        raise ModelRefusedError("it is gone")

    watching.load = load
    task = asyncio.create_task(watching.renew())
    watching.slot.outdated.set()
    await eventually(lambda: watching.slot.refused and not watching.slot.outdated.is_set())
    task.cancel()
    assert len(loads) == 1 and watching.slot.current.scorer.digest == GOOD.digest
