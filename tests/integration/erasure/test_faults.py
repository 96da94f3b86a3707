"""An erasure that was acknowledged is carried out, and its receipt is right, whatever dies or is away meanwhile."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from freshet.ingestion.v1.ingestion_pb2 import ErasureReceipt
from shared.adapters.codecs.keys import user_key
from shared.adapters.jetstream.erasures import list_erasures
from shared.adapters.jetstream.streams import last_position
from shared.adapters.postgres.tables import erasure_targets, erasure_works
from shared.client import FreshetError, InvalidArgument
from tests.builders import message
from tests.conditions import eventually
from tests.integration.erasure.world import DAY, NOTHING, TRACES, counts, without_redrives

pytestmark = pytest.mark.asyncio(loop_scope="session")
MANY = 200
FOUND = {**without_redrives(TRACES), "rows": MANY, "events": MANY}


async def ask(world, user: str) -> None:
    """Ask for an erasure and do not mind whether the answer comes."""
    try:
        await world.erase(user, timeout_seconds=60)
    except FreshetError:
        return


async def steps(world) -> list:
    last = await last_position(world.space.nats, world.space.names)
    return await list_erasures(world.space.nats, world.space.names, last)


async def requested(world) -> bool:
    return bool(await steps(world))


async def noted(world) -> bool:
    async with world.space.engine.connect() as connection:
        return bool((await connection.execute(sa.select(erasure_works.c.receipt_id))).all())


async def found(world) -> bool:
    """Also when all is done by the time that somebody looks: what was noted is forgotten then."""
    return await noted(world) or await completed(world) is not None


async def half_deleted(world) -> bool:
    return (await world.holds_of("ann"))["events"] < MANY - 5


async def rows_deleted(world) -> bool:
    return (await world.holds_of("ann"))["rows"] == 0


async def completed(world) -> ErasureReceipt | None:
    done = [step.receipt for step in await steps(world) if step.complete]
    return done[0] if done else None


@pytest.mark.parametrize("moment", [requested, found, half_deleted, rows_deleted])
async def test_killed_at_any_moment_it_completes_after_a_restart_with_the_right_numbers(start, moment):
    world = await start("ingestion")
    await world.leave_traces("ann", MANY)
    call = asyncio.create_task(ask(world, "ann"))
    await eventually(lambda: moment(world))
    await world.running.suite.kill("ingestion")
    await world.running.suite.start("ingestion")
    receipt = await eventually(lambda: completed(world))
    await call
    assert counts(receipt) == FOUND
    assert await world.holds_of("ann") == NOTHING


async def test_an_erasure_leaves_nothing_in_its_own_tables(start):
    world = await start("ingestion")
    await world.leave_traces("ann")
    await world.erase("ann")

    async def empty() -> bool:
        async with world.space.engine.connect() as connection:
            works = (await connection.execute(sa.select(erasure_works))).all()
            return not works and not (await connection.execute(sa.select(erasure_targets))).all()

    await eventually(empty)


async def test_killed_after_the_completion_it_tidies_up_at_the_next_start(start):
    world = await start("ingestion")
    receipt = await world.erase("ann")
    await world.running.suite.kill("ingestion")
    row = {"receipt_id": receipt.receipt_id, "receipt": receipt.SerializeToString()}
    async with world.space.engine.begin() as connection:
        await connection.execute(insert(erasure_works).values(**row).on_conflict_do_nothing())
    await world.running.suite.start("ingestion")

    async def tidy() -> bool:
        return not await noted(world)

    await eventually(tidy)
    assert len(await steps(world)) == 2


async def test_an_instance_that_was_not_asked_takes_over_when_the_one_that_was_dies(start, start_beside):
    world = await start("ingestion")
    await start_beside(world)
    await world.leave_traces("ann", MANY)
    call = asyncio.create_task(ask(world, "ann"))
    await eventually(lambda: half_deleted(world))
    await world.running.suite.kill("ingestion")
    receipt = await eventually(lambda: completed(world))
    call.cancel()
    assert counts(receipt) == FOUND
    assert await world.holds_of("ann") == NOTHING


async def test_while_postgres_is_frozen_an_erasure_waits_and_then_goes_on(start, brokers):
    world = await start("ingestion")
    await world.leave_traces("ann")
    brokers.postgres.pause()
    try:
        early = await world.erase("ann", timeout_seconds=2)
    finally:
        brokers.postgres.resume()
    assert not early.HasField("complete_time")
    assert counts(await world.erase("ann")) == without_redrives(TRACES)


async def test_an_event_that_is_about_to_go_can_no_longer_be_taken_back(start):
    world = await start("ingestion", erasure_settle_seconds="3600")
    await world.act("ann", 1)
    assert not (await world.erase("ann", timeout_seconds=2)).HasField("complete_time")
    reversal = message("reversal", items=(), corrects_event_id="ann-0", user_id="ann")
    with pytest.raises(InvalidArgument) as refused:
        await world.running.client.write_user_event(reversal)
    assert [each.field for each in refused.value.violations] == ["user_event.corrects_event_id"]


async def test_an_event_behind_the_request_goes_on_with_no_visit_from_before_it(start):
    world = await start("ingestion", erasure_settle_seconds="3600")
    before, behind = [
        message("click", event_id=each, user_id="ann", items=[each], event_time=DAY + timedelta(seconds=at))
        for each, at in (("before", 0), ("behind", 0.5))
    ]
    written = await world.running.client.batch_write_user_events([before])
    await eventually(lambda: world.archived(written.outcomes[0].position))
    await world.erase("ann", timeout_seconds=2)
    await world.running.client.write_user_event(behind)
    logged = await world.events_of("ann")
    assert [each.event_id for each in logged] == ["before", "behind"]
    assert logged[0].session_id != logged[1].session_id
    assert not logged[1].HasField("previous_dwell_seconds")


async def test_when_nats_dies_in_the_middle_the_erasure_goes_on_once_it_is_back(start, brokers):
    world = await start("ingestion")
    await world.leave_traces("ann", MANY)
    call = asyncio.create_task(ask(world, "ann"))
    await eventually(lambda: half_deleted(world))
    await brokers.nats.sigkill()
    await brokers.nats.start()
    receipt = await eventually(lambda: completed_if_reachable(world))
    await call
    assert counts(receipt) == FOUND
    assert await world.holds_of("ann") == NOTHING


async def completed_if_reachable(world) -> ErasureReceipt | None:
    try:
        return await completed(world)
    except Exception:  # nats-py raises many kinds while it reconnects
        return None


async def test_the_log_without_the_user_folds_as_if_the_user_had_never_been(start):
    world = await start("ingestion")
    await world.act("bob", 3)
    await world.act("ann", 3)
    await world.act("bob", 3, "more-")
    before = await events_of_the_log(world, without="ann")
    await world.erase("ann")
    assert await events_of_the_log(world) == before


async def events_of_the_log(world, without: str = "") -> list[tuple[int, bytes]]:
    """Positions and payloads of all events, but for those of one user."""
    jetstream, names = world.space.nats.jetstream(), world.space.names
    found = []
    for position in range(1, await last_position(world.space.nats, names) + 1):
        try:
            stored = await jetstream.get_msg(names.events, position)
        except Exception:  # a deleted message
            continue
        is_event = stored.subject.startswith(names.subject("events."))
        if is_event and (not without or without.encode() not in stored.data):
            found.append((position, stored.data))
    return found


async def test_waiting_for_the_logs_end_does_not_wait_for_a_message_that_is_gone(start):
    world = await start("ingestion")
    await world.act("ann", 3)
    receipt = await world.erase("ann")
    last = await last_position(world.space.nats, world.space.names)
    assert last > receipt.position > 3
    await eventually(lambda: world.archived(last))
    assert user_key("ann") == receipt.user_key


async def test_ids_are_still_known_without_postgres_after_the_erasure_of_a_user_without_events(
    brokers, start
):
    world = await start("ingestion")
    first = await world.act("ann", 3)
    await world.erase("nobody", timeout_seconds=60)
    brokers.postgres.pause()
    try:
        again = await world.act("ann", 3)
    finally:
        brokers.postgres.resume()
    assert again == first


async def test_a_user_is_erased_however_the_id_is_spelt(start):
    world = await start("ingestion")
    events = [message(user_id="Zo\u00eb", event_id=f"z-{number}") for number in range(3)]
    await world.running.client.batch_write_user_events(events)
    receipt = await world.erase(" Zoe\u0308", timeout_seconds=60)
    assert (receipt.deleted_events, receipt.deleted_archive_rows) == (3, 3)
    assert (await world.holds_of("Zo\u00eb"))["events"] == 0
