"""Who sends more than anybody can do is refused, and what had counted of it is taken back, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.event_writer import Written
from tests.builders import message
from tests.unit.ingestion.intakes import intake, rules, written
from tests.unit.ingestion.test_event_writer import Log

START = datetime(2025, 5, 1, 12, tzinfo=UTC)


def burst(number: int, user_id: str = "bot", apart_seconds: float = 0.0) -> list[UserEvent]:
    return [
        message(
            event_id=f"{user_id}-{n}",
            user_id=user_id,
            event_time=START + timedelta(seconds=n * apart_seconds),
        )
        for n in range(number)
    ]


def reasons(outcomes) -> list[str]:
    return ["" if isinstance(each, Written) else each.violations[0].reason for each in outcomes]


async def test_a_burst_beyond_the_limit_is_refused_as_a_flood():
    outcomes = await intake(Log(), rules(refuse_floods={"burst": 5, "per_second": 1})).take(burst(8))
    assert reasons(outcomes) == [""] * 5 + ["FLOOD"] * 3


async def test_events_of_a_lived_history_are_no_flood_however_fast_they_are_sent():
    outcomes = await intake(Log(), rules(refuse_floods={"burst": 5, "per_second": 1})).take(
        burst(50, apart_seconds=1.0)
    )
    assert set(reasons(outcomes)) == {""}


async def test_the_defaults_let_the_longest_history_of_ratings_pass():
    assert set(reasons(await intake(Log(), rules("refuse-floods")).take(burst(737)))) == {""}


async def test_other_users_are_not_touched():
    limited = intake(Log(), rules(refuse_floods={"burst": 3, "per_second": 0}))
    await limited.take(burst(10))
    assert reasons(await limited.take(burst(2, "ann"))) == ["", ""]


async def test_what_had_counted_of_a_flood_is_taken_back_once():
    log = Log()
    limited = intake(log, rules(refuse_floods={"burst": 8, "per_second": 0, "reverse_last": 3}))
    await limited.take(burst(10))
    await limited.take(burst(10))
    reversed_ids = [event.corrects_event_id for event in written(log) if event.event_type == "reversal"]
    assert reversed_ids == ["bot-5", "bot-6", "bot-7"]


async def test_a_source_has_a_limit_of_its_own_when_one_is_set():
    limits = {"burst": 100, "source_burst": 2, "source_per_second": 0.001}
    limited = intake(Log(), rules(refuse_floods=limits))
    events = [message(event_id=f"e{n}", user_id=f"u{n}") for n in range(4)]
    outcomes = await limited.take(events, ["crawler"] * 4)
    assert reasons(outcomes) == ["", "", "FLOOD", "FLOOD"]
    assert outcomes[2].violations[0].field == "source"
