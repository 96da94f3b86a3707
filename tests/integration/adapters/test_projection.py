"""The feature service's checkpoints on a real database."""

from __future__ import annotations

import asyncio
import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
import pytest_asyncio
import sqlalchemy as sa

from services.feature import checkpoints
from services.feature.absent_users import AbsentUsers
from services.feature.checkpoints import Checkpoints, Pace
from services.feature.damaged_users import DamagedUsers
from services.feature.erasures import Erasures
from services.feature.projection import Projection
from shared.adapters.codecs.keys import user_key
from shared.adapters.jetstream.log_reader import LogMessage
from shared.adapters.postgres.database import schema_name
from shared.adapters.postgres.state_store import StateStore
from shared.domain.fold.state import State, fold_events
from shared.domain.fold.state_digest import digest
from tests.builders import event, message, state

pytestmark = pytest.mark.asyncio(loop_scope="session")
IN_MEMORY = 3


@dataclass
class Feature:
    """The parts of the feature service that hold state, without the log."""

    store: StateStore
    projection: Projection
    checkpoints: Checkpoints

    @property
    def state(self) -> State:
        return self.projection.state

    def fold(self, position: int, user_key: int) -> None:
        fold_events(self.state, [event(position, user_key=user_key, items=(position,))])
        self.projection.position = position


@pytest_asyncio.fixture(loop_scope="session")
async def feature(space) -> Feature:
    folded, store = state(), StateStore(space.engine, "fold 1")
    await store.load(folded, IN_MEMORY)
    erasures = Erasures(folded, space.nats, space.names)
    absent = AbsentUsers(folded, store, DamagedUsers(folded, space.nats, space.names, erasures))
    projection = Projection(folded, absent, erasures, space.names)
    return Feature(store, projection, Checkpoints(projection, store, Pace(60.0, IN_MEMORY)))


async def stored(space) -> State:
    again = state()
    await StateStore(space.engine, "fold 1").load(again, 10**6)
    return again


async def test_a_checkpoint_waits_for_the_one_before_it(space, feature):
    async with space.engine.begin() as connection:
        await connection.execute(sa.text(f'LOCK TABLE "{schema_name(space.name)}".user_state'))
        feature.fold(1, 16)
        first = asyncio.create_task(feature.checkpoints.write())
        await asyncio.sleep(0)
        feature.fold(2, 16)
        second = asyncio.create_task(feature.checkpoints.write())
        await asyncio.sleep(0)
        assert feature.state.users.changed.sum() == 1
    await asyncio.gather(first, second)
    again = await stored(space)
    assert set(again.positions.values()) == {2}
    assert digest(again) == digest(feature.state)


async def test_what_could_not_be_stored_is_stored_with_the_next(space, feature, monkeypatch):
    feature.fold(1, 16)
    with monkeypatch.context() as broken:
        broken.setattr(feature.store, "save", _power_cut)
        await feature.checkpoints.write_if_possible()
    feature.fold(2, 17)
    await feature.checkpoints.write_if_possible()
    assert digest(await stored(space)) == digest(feature.state)


async def test_who_changes_while_others_leave_memory_stays_and_the_loop_is_free_in_between(
    feature, monkeypatch
):
    monkeypatch.setattr(checkpoints, "LEAVING_AT_ONCE", 1)
    everybody = range(1, IN_MEMORY + 3)
    for number in everybody:
        feature.fold(number, number)
    users, left, free = feature.state.users, [], asyncio.Event()
    let_go = users.let_go

    def let_go_and_fold(keys: np.ndarray) -> None:
        let_go(keys)
        left.append((len(keys), free.is_set()))
        if len(left) == 1:
            asyncio.get_running_loop().call_soon(free.set)
            for number in set(everybody) - set(keys.tolist()):
                feature.fold(90 + number, number)

    monkeypatch.setattr(users, "let_go", let_go_and_fold)
    await feature.checkpoints.write()
    assert (left, len(users.away)) == ([(1, False), (0, True)], 1)


async def test_what_could_not_be_stored_takes_no_memory_until_it_is(feature, monkeypatch):
    fold_events(feature.state, [event(number, user_key=number) for number in range(1, 5_001)])
    feature.projection.position = 5_000
    monkeypatch.setattr(feature.store, "save", _power_cut)
    tracemalloc.start()
    await feature.checkpoints.write_if_possible()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < feature.state.users.records.nbytes / 4


async def test_checkpoints_do_not_wait_for_items_that_are_folded_anew_after_an_erasure(space, feature):
    feature.fold(1, 16)
    feature.state.to_refold[0] = 1
    await feature.checkpoints.write()
    again = await stored(space)
    assert (set(again.positions.values()), again.to_refold) == ({1}, {0: 1})
    assert digest(again) == digest(feature.state)


async def test_items_that_were_folded_anew_are_stored_although_no_event_has_come(space, feature):
    feature.fold(1, 16)
    feature.state.to_refold[0] = 1
    await feature.checkpoints.write()
    feature.state.take_items(0, state())
    del feature.state.to_refold[0]
    await feature.checkpoints.write()
    again = await stored(space)
    assert (len(again.items), again.to_refold) == (0, {})


async def _power_cut(*_) -> None:
    raise ConnectionError("power cut")


async def test_the_least_recently_used_leave_memory_and_come_back_on_demand(feature):
    for position in range(1, 11):
        feature.fold(position, position)
    whole = digest(feature.state)
    await feature.checkpoints.write()
    assert (len(feature.state.users), len(feature.state.users.away)) == (IN_MEMORY, 7)
    assert sorted(feature.state.users.keys().tolist()) == [8, 9, 10]
    await feature.projection.bring_back(np.array([1, 2, 99], np.uint64), 5.0)
    assert feature.state.users.read(1).history["item_key"].tolist() == [1]
    assert digest(feature.state) == whole


async def test_an_event_of_a_user_who_is_away_is_not_reflected_before_they_are_back(space, feature):
    for position, key in enumerate((user_key("u1"), 1, 2, 3), 1):
        feature.fold(position, key)
    await feature.checkpoints.write()
    subject, payload = space.names.event_subject(0, "click"), message(event_id="e5").SerializeToString()
    async with space.engine.begin() as connection:
        await connection.execute(sa.text(f'LOCK TABLE "{schema_name(space.name)}".user_state'))
        folding = asyncio.create_task(feature.projection._take([LogMessage(5, subject, payload, 0)]))
        assert not await feature.projection.reach(5, 0.2)
    await folding
    assert feature.projection.position == 5


async def test_who_gave_up_waiting_for_a_position_is_forgotten(feature):
    patient = asyncio.create_task(feature.projection.reach(5, 60.0))
    for _ in range(1000):
        assert not await feature.projection.reach(10**9, 0.0)
    assert len(feature.projection._waiting) < 10
    feature.projection._advance(5)
    assert await patient


async def test_users_who_were_only_read_leave_memory_again(feature):
    for position in range(1, 11):
        feature.fold(position, position)
    await feature.checkpoints.write()
    await feature.projection.bring_back(np.arange(1, 11, dtype=np.uint64), 5.0)
    assert len(feature.state.users) == 10
    await feature.checkpoints.write()
    assert len(feature.state.users) == IN_MEMORY


async def test_an_older_row_never_takes_the_place_of_a_newer_state(feature):
    for position in range(1, 6):
        feature.fold(position, position)
    await feature.checkpoints.write()
    [old] = await feature.store.read_users([1])
    await feature.projection.bring_back(np.array([1], np.uint64), 5.0)
    feature.fold(6, 1)
    await feature.checkpoints.write()
    feature.state.users.let_go(np.array([1], np.uint64))
    assert not feature.projection._absent._is_newest(old)
    await feature.projection.bring_back(np.array([1], np.uint64), 5.0)
    assert feature.state.users.read(1).history["item_key"].tolist() == [1, 6]
