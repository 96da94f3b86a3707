"""Folded state in PostgreSQL: state and checkpoint go together or not at all."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import sqlalchemy as sa

from shared.adapters import state_store
from shared.adapters.state_store import Snapshot, StateStore, take_snapshot
from shared.adapters.tables import checkpoints
from shared.domain.event import EventType
from shared.domain.partition_state import PartitionState, digest, fold
from tests.builders import event, partition

pytestmark = pytest.mark.asyncio(loop_scope="session")
LOG = [event(n, user_key=2**63 + n % 9, items=(2**64 - n,), event_type=EventType.RATE) for n in range(1, 601)]


@pytest.fixture
def store(space) -> StateStore:
    return StateStore(space.engine, "fold 1")


def empty() -> dict[int, PartitionState]:
    return {0: partition(), 1: partition()}


def folded(log) -> dict[int, PartitionState]:
    states = empty()
    for number, state in states.items():
        fold(state, (each for each in log if each.user_key % 2 == number))
    return states


async def save(store: StateStore, states: dict[int, PartitionState], position: int) -> None:
    await store.save(states, take_snapshot(states, position))


async def test_nothing_stored_means_beginning_at_0(store):
    assert await store.load(empty()) == 0


async def test_state_comes_back_bit_by_bit(store):
    states, loaded = folded(LOG), empty()
    await save(store, states, 600)
    assert await store.load(loaded) == 600
    assert digest(loaded.values()) == digest(states.values())


async def test_folding_on_from_a_checkpoint_gives_what_folding_everything_gives(store):
    await save(store, folded(LOG[:300]), 300)
    loaded = empty()
    start = await store.load(loaded)
    for number, state in loaded.items():
        fold(state, (each for each in LOG[start:] if each.user_key % 2 == number))
    assert digest(loaded.values()) == digest(folded(LOG).values())


async def test_only_what_changed_is_stored_again(store):
    states = folded(LOG)
    await save(store, states, 600)
    fold(states[0], [event(601, user_key=2, items=(5,))])
    snapshot = take_snapshot(states, 601)
    assert (len(snapshot.users), len(snapshot.items)) == (1, 1)
    await store.save(states, snapshot)
    loaded = empty()
    await store.load(loaded)
    assert digest(loaded.values()) == digest(states.values())


@pytest.mark.parametrize("written", [1, 2])
async def test_a_crash_on_the_way_leaves_the_checkpoint_before_it(store, written):
    before = folded(LOG[:300])
    await save(store, before, 300)
    with patch.object(state_store, "_upsert", _fails_after(written)), pytest.raises(ConnectionError):
        await save(store, folded(LOG), 600)
    loaded = empty()
    assert await store.load(loaded) == 300
    assert digest(loaded.values()) == digest(before.values())


def _fails_after(tables: int):
    upsert, done = state_store._upsert, []

    async def failing(*arguments) -> None:
        if len(done) == tables:
            raise ConnectionError("power cut")
        done.append(arguments)
        await upsert(*arguments)

    return failing


async def test_state_of_another_fold_is_dropped(store, space):
    await save(store, folded(LOG), 600)
    loaded = empty()
    assert await StateStore(space.engine, "fold 2").load(loaded) == 0
    assert len(loaded[0].users) == 0
    async with space.engine.connect() as connection:
        assert (await connection.execute(sa.select(checkpoints))).all() == []


async def test_partitions_stored_at_different_positions_begin_anew(store):
    await store.save([0], Snapshot(10))
    await store.save([1], Snapshot(20))
    assert await store.load(empty()) == 0
