"""Folded state in PostgreSQL: state and checkpoint go together or not at all, and a partition has one owner."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import sqlalchemy as sa

from shared.adapters.postgres import state_store
from shared.adapters.postgres.database import ensure_tables, schema_name
from shared.adapters.postgres.state_store import OwnershipLostError, StateSetBackError, StateStore
from shared.adapters.postgres.tables import checkpoints, item_counters, user_states
from shared.domain.events.event import EventType
from shared.domain.fold.snapshot import take_snapshot
from shared.domain.fold.state import State, fold_events
from shared.domain.fold.state_digest import digest
from tests.builders import event, state

pytestmark = pytest.mark.asyncio(loop_scope="session")
LOG = [event(n, user_key=2**63 + n % 9, items=(2**64 - n,), event_type=EventType.RATE) for n in range(1, 601)]
PLENTY = 10**6


def store_of(space, fold: str = "fold 1") -> StateStore:
    """A store as another instance has it."""
    return StateStore(space.engine, fold)


async def saved(space, folded: State, position: int) -> StateStore:
    """The store that saved a state."""
    store = store_of(space)
    await store.load(state(owned=folded.positions), PLENTY)
    await store.save(folded, take_snapshot(folded, position))
    return store


async def loaded(space, users_in_memory: int = PLENTY, owned=None) -> State:
    empty = state(owned=owned)
    await store_of(space).load(empty, users_in_memory)
    return empty


async def test_nothing_stored_means_beginning_at_0(space):
    assert set((await loaded(space)).positions.values()) == {0}


async def test_state_comes_back_bit_by_bit(space):
    folded = fold_events(state(), LOG)
    await saved(space, folded, 600)
    again = await loaded(space)
    assert set(again.positions.values()) == {600}
    assert digest(again) == digest(folded)


async def test_folding_on_from_a_checkpoint_gives_what_folding_everything_gives(space):
    await saved(space, fold_events(state(), LOG[:300]), 300)
    assert digest(fold_events(await loaded(space), LOG)) == digest(fold_events(state(), LOG))


async def test_only_what_changed_is_stored_again(space):
    folded = fold_events(state(), LOG)
    store = await saved(space, folded, 600)
    fold_events(folded, [event(601, user_key=2, items=(5,))])
    snapshot = take_snapshot(folded, 601)
    assert (len(snapshot.records), len(snapshot.items)) == (1, 1)
    await store.save(folded, snapshot)
    assert digest(await loaded(space)) == digest(folded)


@pytest.mark.parametrize("written", [0, 1])
async def test_a_crash_on_the_way_leaves_the_checkpoint_before_it(space, written):
    before = fold_events(state(), LOG[:300])
    store = await saved(space, before, 300)
    after = fold_events(state(), LOG)
    with patch.object(state_store, "_upsert", _fails_after(written)), pytest.raises(ConnectionError):
        await store.save(after, take_snapshot(after, 600))
    again = await loaded(space)
    assert set(again.positions.values()) == {300}
    assert digest(again) == digest(before)


def _fails_after(tables: int):
    upsert, done = state_store._upsert, []

    async def failing(*arguments) -> None:
        if len(done) == tables:
            raise ConnectionError("power cut")
        done.append(arguments)
        await upsert(*arguments)

    return failing


async def test_state_of_another_fold_is_dropped(space):
    await saved(space, fold_events(state(), LOG), 600)
    other = state()
    await store_of(space, "fold 2").load(other, PLENTY)
    assert (len(other.users), set(other.positions.values())) == (0, {0})
    async with space.engine.connect() as connection:
        assert (await connection.execute(sa.select(user_states))).all() == []


@pytest.mark.parametrize("column", [user_states.c.record, user_states.c.departed, item_counters.c.record])
async def test_a_partition_with_a_row_that_cannot_be_read_begins_at_0_and_the_others_go_on(space, column):
    await saved(space, fold_events(state(), LOG[:300]), 300)
    async with space.engine.begin() as connection:
        cut = sa.update(column.table).where(column.table.c.partition == 2).values({column: b"cut off"})
        await connection.execute(cut)
    again = await loaded(space)
    assert again.positions == {0: 300, 1: 300, 2: 0, 3: 300}
    assert digest(fold_events(again, LOG)) == digest(fold_events(state(), LOG))


async def test_partitions_stored_at_different_positions_go_on_from_their_own(space):
    await saved(space, fold_events(state(owned=[0, 1]), LOG[:200]), 200)
    await saved(space, fold_events(state(owned=[2, 3]), LOG[:500]), 500)
    again = await loaded(space)
    assert again.positions == {0: 200, 1: 200, 2: 500, 3: 500}
    assert digest(fold_events(again, LOG)) == digest(fold_events(state(), LOG))


async def test_a_partition_that_was_taken_over_further_ahead_keeps_its_position(space):
    await saved(space, fold_events(state(owned=[0, 1]), LOG[:200]), 200)
    await saved(space, fold_events(state(owned=[2, 3]), LOG[:500]), 500)
    store, both = store_of(space), state()
    await store.load(both, PLENTY)
    await store.save(fold_events(both, LOG[:300]), take_snapshot(both, 300))
    assert (await loaded(space)).positions == {0: 300, 1: 300, 2: 500, 3: 500}


async def test_who_lost_a_partition_can_store_nothing_any_more(space):
    folded = fold_events(state(), LOG[:300])
    store = await saved(space, folded, 300)
    await loaded(space, owned=[2])
    fold_events(folded, LOG)
    with pytest.raises(OwnershipLostError):
        await store.save(folded, take_snapshot(folded, 600))
    async with space.engine.connect() as connection:
        rows = (await connection.execute(sa.select(checkpoints.c.position))).scalars().all()
    assert set(rows) == {300}


@pytest.mark.parametrize("lost", [1, 300])
async def test_on_top_of_an_older_state_than_was_stored_nothing_is_stored(space, lost):
    """PostgreSQL was restored from a backup, or a replica took over that had not received everything."""
    folded = fold_events(state(), LOG[:300])
    store = await saved(space, folded, 300)
    async with space.engine.begin() as connection:
        await connection.execute(sa.update(checkpoints).values(position=300 - lost))
    fold_events(folded, LOG)
    with pytest.raises(StateSetBackError):
        await store.save(folded, take_snapshot(folded, 600))
    with pytest.raises(StateSetBackError):
        await store.check_owner(folded)
    assert set((await loaded(space)).positions.values()) == {300 - lost}


async def test_users_beyond_the_limit_stay_away_and_count_in_the_digest(space):
    folded = fold_events(state(), LOG)
    await saved(space, folded, 600)
    again = await loaded(space, users_in_memory=4)
    assert (len(again.users), len(again.users.away)) == (4, 5)
    assert digest(again) == digest(folded)


async def test_a_user_who_is_away_is_read_as_they_left(space):
    folded = fold_events(state(), LOG)
    store = await saved(space, folded, 600)
    [stored] = await store.read_users([2**63 + 3])
    assert (stored.record, stored.departed) == folded.users.export(2**63 + 3)


async def test_an_erased_user_leaves_the_store_and_may_come_back(space):
    folded = fold_events(state(), LOG)
    store = await saved(space, folded, 600)
    folded.erase(2**63)
    folded.erase(2**63 + 1)
    fold_events(folded, [event(601, user_key=2**63 + 1, items=(9,))])
    await store.save(folded, take_snapshot(folded, 601))
    again = await loaded(space)
    assert digest(again) == digest(folded)
    assert len(again.users) == 8


async def test_a_column_that_an_older_release_did_not_have_is_added(space):
    async with space.engine.begin() as connection:
        table = f'"{schema_name(space.name)}".user_state'
        await connection.execute(sa.text(f"ALTER TABLE {table} DROP COLUMN digest"))
    await ensure_tables(space.engine, space.name)
    folded = fold_events(state(), LOG)
    await saved(space, folded, 600)
    assert digest(await loaded(space)) == digest(folded)
