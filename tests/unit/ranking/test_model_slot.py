"""The model in service, and what the catalogue says about its items."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from services.ranking.model import model_slot
from services.ranking.model.model_slot import REFUSED_KEPT, ModelSlot
from services.ranking.model.scorer import Scorer
from tests.builders import catalogue_item
from tests.unit.ranking.model import catalogue, sum_bundle

WHEN = datetime(2025, 1, 1, tzinfo=UTC)


def test_before_a_swap_nothing_serves():
    assert ModelSlot(catalogue()).current is None


async def test_a_swap_leaves_the_reference_that_a_request_holds():
    slot = ModelSlot(catalogue())
    await slot.swap(Scorer(sum_bundle()), WHEN)
    held = slot.current
    await slot.swap(Scorer(sum_bundle(("a", "b"))), WHEN)
    assert (held.recommendable, slot.current.recommendable, slot.swap_count) == (4, 2, 2)


async def test_an_old_model_is_given_back_by_a_thread_and_not_by_the_event_loop(monkeypatch):
    monkeypatch.setattr(model_slot, "RETIRE_SECONDS", 0.0)
    slot, given_back = ModelSlot(catalogue()), asyncio.get_running_loop().create_future()
    scorer = Scorer(sum_bundle())
    weakref.finalize(scorer, lambda: given_back.set_result(threading.current_thread()))
    await slot.swap(scorer, WHEN)
    del scorer
    await slot.swap(Scorer(sum_bundle(("a", "b"))), WHEN)
    async with asyncio.timeout(10):
        while not given_back.done():
            await asyncio.sleep(0)
    assert given_back.result() is not threading.main_thread()


async def test_an_item_becomes_recommendable_when_the_catalogue_learns_of_it():
    known = catalogue(("a",))
    slot = ModelSlot(known)
    await slot.swap(Scorer(sum_bundle()), WHEN)
    known.put(catalogue_item("b").SerializeToString(), 2)
    assert slot.current.recommendable == 1
    await slot.refresh()
    assert slot.current.recommendable == 2


async def test_an_item_becomes_recommendable_when_its_time_has_come(monkeypatch):
    known, later = catalogue(("a",)), Timestamp(seconds=4_102_444_800)
    known.put(catalogue_item("b", available_time=later).SerializeToString(), 2)
    slot = ModelSlot(known)
    await slot.swap(Scorer(sum_bundle()), WHEN)
    assert slot.current.recommendable == 1
    monkeypatch.setattr(time, "time", lambda: later.seconds)
    await slot.refresh()
    assert slot.current.recommendable == 2


def test_only_the_newest_refusals_are_kept():
    slot = ModelSlot(catalogue())
    for number in range(REFUSED_KEPT + 5):
        slot.refuse(str(number), "damaged")
    assert len(slot.refused) == REFUSED_KEPT
    assert slot.refused[0].model_version == str(REFUSED_KEPT + 4)
