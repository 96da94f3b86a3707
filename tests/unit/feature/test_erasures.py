"""Who waits until items count nobody who was erased waits for all of them, and not for ever."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import grpc
import pytest

from services.feature.digesting import StateDigests
from services.feature.erasures import Erasures, Refold
from services.feature.projection import Projection
from shared.domain.events.event_batch import EventBatch
from shared.domain.fold.state import State, fold_events
from shared.runtime.errors import Refusal
from tests.builders import event, state


def erasures_of(live: State) -> Erasures:
    """Erasures of a state that is not folded anew: there is no log."""
    made = Erasures(live, None, None)  # type: ignore[arg-type]
    made.begin(0, [])
    return made


async def test_who_waits_for_the_last_partition_also_waits_for_one_that_is_marked_before_they_wake():
    live = state(partitions=1)
    live.to_refold[0] = 5
    erasures = erasures_of(live)
    waiting = asyncio.create_task(erasures.settled())
    await asyncio.sleep(0)
    del live.to_refold[0]
    erasures.begin(0, [])
    live.to_refold[0] = 9
    erasures.begin(0, [])
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    del live.to_refold[0]
    erasures.begin(0, [])
    await asyncio.wait_for(waiting, 5)


async def test_a_digest_is_refused_in_time_also_when_an_erasure_ends_while_it_is_made():
    live = fold_events(state(partitions=2), [event(number, user_key=number) for number in range(1, 1000)])
    erasures = erasures_of(live)
    projection = cast(Projection, SimpleNamespace(state=live, position=999))
    asked = asyncio.create_task(StateDigests(projection, erasures).of([], 0.2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    live.to_refold[1] = 999
    erasures.begin(0, [])
    with pytest.raises(Refusal, match="folded anew"):
        await asyncio.wait_for(asked, 5)


async def test_a_digest_for_which_there_is_too_little_time_is_not_taken_for_a_partition_that_is_folded_anew():
    live = fold_events(state(partitions=2), [event(number, user_key=number) for number in range(1, 1000)])
    projection = cast(Projection, SimpleNamespace(state=live, position=999))
    with pytest.raises(Refusal, match="more time") as refused:
        await StateDigests(projection, erasures_of(live)).of([], 0.0)
    assert refused.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_what_is_folded_of_other_partitions_is_not_kept_while_one_is_folded_anew():
    refold = Refold(0, 0, state(partitions=2, owned=[0]))
    for number in range(1, 5):
        refold.also_folded(EventBatch.of([event(number, user_key=number)]))
    assert [batch.position.tolist() for batch in refold.later] == [[2], [4]]
