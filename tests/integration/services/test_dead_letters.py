"""Dead letters: listed newest first, sent again as they came or corrected, each taking effect once."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1.ingestion_pb2 import DeadLetter, DeadLetterRedrive
from shared.adapters.jetstream.streams import api
from shared.client import InvalidArgument, SyncFreshetClient
from shared.domain.retention import MIB
from tests.builders import message
from tests.conditions import eventually
from tests.integration.services.conftest import Running, words
from tests.integration.services.test_faults import ids_in_log

pytestmark = pytest.mark.asyncio(loop_scope="session")
UNKNOWN = b'{"userId": "u1", "eventType": "stare", "items": [{"itemId": "i1"}]}'


@pytest_asyncio.fixture(loop_scope="session")
async def running(start) -> Running:
    return await start("ingestion")


async def refused(running: Running, *payloads: bytes, **headers: str) -> list[DeadLetter]:
    """The letters that messages become, the newest first, as listed."""
    before = len((await running.client.list_dead_letters()).dead_letters)
    for payload in payloads:
        await running.publish(payload, **headers)

    async def all_there() -> list[DeadLetter]:
        listed = list((await running.client.list_dead_letters()).dead_letters)
        return listed if len(listed) == before + len(payloads) else []

    return await eventually(all_there)


async def redrive(running: Running, letter: DeadLetter, event: UserEvent | None = None):
    wish = DeadLetterRedrive(dead_letter_id=letter.dead_letter_id, corrected_event=event)
    return (await running.client.redrive_dead_letters([wish])).outcomes[0]


async def forget_redrives(running: Running, letter: DeadLetter) -> None:
    """As if the process had died before it noted what became of the letter."""
    names = running.space.names
    purge = {"filter": names.redrive_subject(letter.dead_letter_id)}
    assert (await api(running.space.nats, f"STREAM.PURGE.{names.stream('REJECTED')}", purge))["purged"] == 1


async def test_letters_are_listed_newest_first_page_after_page(running):
    await refused(running, *[json.dumps({"userId": f"u{number}"}).encode() for number in range(5)])
    seen, token = [], ""
    while not seen or token:
        page = await running.client.list_dead_letters(page_size=2, page_token=token)
        seen += [json.loads(letter.payload)["userId"] for letter in page.dead_letters]
        token = page.next_page_token
    assert seen == ["u4", "u3", "u2", "u1", "u0"]


async def test_letters_are_listed_by_reason(running):
    await refused(running, UNKNOWN, b"\xff\xff", UNKNOWN)
    page = await running.client.list_dead_letters(reason="MALFORMED")
    assert [letter.payload for letter in page.dead_letters] == [b"\xff\xff"]


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"page_size": 501}, "page_size"),
        ({"page_size": -1}, "page_size"),
        ({"page_token": "x"}, "page_token"),
    ],
)
async def test_a_page_that_cannot_be_is_refused_by_field(ingestion, fields, field):
    with pytest.raises(InvalidArgument) as caught:
        await ingestion.client.list_dead_letters(**fields)
    assert [violation.field for violation in caught.value.violations] == [field]


async def test_a_letter_that_is_still_wrong_is_refused_again_and_its_history_says_so(running):
    [letter] = await refused(running, UNKNOWN)
    outcome = await redrive(running, letter)
    assert words([outcome]) == ["REJECTED"]
    assert outcome.violations[0].field == "event_type"
    [listed] = (await running.client.list_dead_letters()).dead_letters
    assert words(listed.redrives) == ["REJECTED"]
    assert listed.redrives[0].violations[0].reason == "UNKNOWN_EVENT_TYPE"


async def test_a_corrected_letter_takes_effect_once_and_is_hidden_from_then_on(running):
    [letter] = await refused(running, UNKNOWN)
    outcomes = [await redrive(running, letter, message()) for _ in range(2)]
    assert words(outcomes) == ["ACCEPTED", "DUPLICATE"]
    assert {outcome.id for outcome in outcomes} == {f"redrive-{letter.dead_letter_id}"}
    assert await ids_in_log(running) == [outcomes[0].id]
    assert not (await running.client.list_dead_letters()).dead_letters
    [listed] = (await running.client.list_dead_letters(include_redriven=True)).dead_letters
    assert words(listed.redrives) == ["ACCEPTED"]


async def test_tries_at_once_with_different_ids_take_effect_once(running):
    [letter] = await refused(running, UNKNOWN)
    ids = [f"corrected-{number}" for number in range(8)]
    outcomes = await asyncio.gather(*[redrive(running, letter, message(event_id=each)) for each in ids])
    assert sorted(words(outcomes)) == ["ACCEPTED", *["DUPLICATE"] * 7]
    assert len(stored := await ids_in_log(running)) == 1
    assert {outcome.id for outcome in outcomes} == set(stored) < set(ids)


async def test_a_try_behind_one_that_crashed_before_it_was_noted_is_a_duplicate_whatever_its_id(running):
    [letter] = await refused(running, UNKNOWN)
    assert words([await redrive(running, letter, message(event_id="first"))]) == ["ACCEPTED"]
    await forget_redrives(running, letter)
    again = await redrive(running, letter, message(event_id="second"))
    assert (words([again]), again.id) == (["DUPLICATE"], "first")
    assert await ids_in_log(running) == ["first"]


async def test_a_try_with_a_bad_id_does_not_give_the_letter_its_id(running):
    [letter] = await refused(running, UNKNOWN)
    outcome = await redrive(running, letter, message(event_id="not printable\x07"))
    assert [each.field for each in outcome.violations] == ["event_id"]
    assert words([await redrive(running, letter, message(event_id="good"))]) == ["ACCEPTED"]
    assert await ids_in_log(running) == ["good"]


async def test_the_event_of_a_letter_names_the_letter(running):
    [letter] = await refused(running, UNKNOWN)
    outcome = await redrive(running, letter, message(event_id="mine", dead_letter_id="999"))
    stored = await running.space.nats.jetstream().get_msg(running.space.names.events, outcome.position)
    event = UserEvent.FromString(stored.data)
    assert (event.event_id, event.dead_letter_id) == ("mine", letter.dead_letter_id)


async def test_a_letter_is_sent_again_as_it_came_once_its_reason_has_gone(start):
    running = await start("ingestion", latest_event_skew_seconds="0")
    soon = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    payload = b'{"userId": "u1", "items": [{"itemId": "i1"}]}'
    [letter] = await refused(running, payload, ce_id="early", ce_type="click", ce_time=soon)

    async def taken() -> bool:
        return words([await redrive(running, letter)]) == ["ACCEPTED"]

    await eventually(taken)
    assert await ids_in_log(running) == ["early"]
    [listed] = (await running.client.list_dead_letters(include_redriven=True)).dead_letters
    assert words(listed.redrives)[-1] == "ACCEPTED"


async def test_a_letter_that_was_cut_off_needs_a_corrected_event(running):
    [letter] = await refused(running, b"\xff" * 100_000)
    assert letter.truncated
    outcome = await redrive(running, letter)
    assert [(each.field, each.reason) for each in outcome.violations] == [("dead_letter_id", "TRUNCATED")]
    assert words([await redrive(running, letter, message())]) == ["ACCEPTED"]


async def test_one_that_cannot_be_sent_does_not_hold_up_the_others(running):
    good, poison = await refused(running, b"\xff\xff", UNKNOWN)
    wishes = [
        DeadLetterRedrive(dead_letter_id="no-such"),
        DeadLetterRedrive(dead_letter_id=poison.dead_letter_id),
        DeadLetterRedrive(dead_letter_id=good.dead_letter_id, corrected_event=message()),
    ]
    answer = await running.client.redrive_dead_letters(wishes)
    assert words(answer.outcomes) == ["REJECTED", "REJECTED", "ACCEPTED"]
    assert [outcome.violations[0].reason for outcome in answer.outcomes[:2]] == ["NOT_FOUND", "MALFORMED"]


async def test_a_letter_cannot_be_sent_twice_at_once(running):
    [letter] = await refused(running, UNKNOWN)
    twice = [
        DeadLetterRedrive(dead_letter_id=letter.dead_letter_id, corrected_event=message(event_id=each))
        for each in ("a", "b")
    ]
    with pytest.raises(InvalidArgument) as caught:
        await running.client.redrive_dead_letters(twice)
    assert [each.field for each in caught.value.violations] == ["redrives[1].dead_letter_id"]


async def test_a_restart_changes_nothing_about_what_was_redriven(running):
    [letter] = await refused(running, UNKNOWN)
    await redrive(running, letter, message())
    await running.suite.kill("ingestion")
    await running.suite.start("ingestion")
    assert words([await redrive(running, letter, message(event_id="another"))]) == ["DUPLICATE"]
    assert len(await ids_in_log(running)) == 1


async def test_a_publisher_cannot_pass_an_event_off_as_redriven(ingestion):
    event = message(event_id="no-letter", dead_letter_id="1")
    written = await ingestion.client.write_user_event(event)
    assert written.consistency_token
    last = await ingestion.log_length()
    stored = await ingestion.space.nats.jetstream().get_msg(ingestion.space.names.events, last)
    assert UserEvent.FromString(stored.data).dead_letter_id == ""


async def test_the_oldest_letters_go_when_their_stream_is_full(start):
    running = await start("ingestion", rejected_max_bytes=str(MIB))
    for _ in range(40):
        await running.publish(b"\xff" * 60_000)

    async def all_refused() -> bool:
        return await running.at_the_door() == 0

    await eventually(all_refused)
    info = await running.space.nats.jetstream().stream_info(running.space.names.stream("REJECTED"))
    assert info.state.bytes <= MIB
    assert info.state.first_seq > 1
    assert len((await running.client.list_dead_letters()).dead_letters) == info.state.messages


async def test_the_sync_client_lists_and_redrives_too(running):
    await refused(running, UNKNOWN)

    def redriven() -> list[str]:
        with SyncFreshetClient(running.client.addresses) as client:
            [listed] = client.list_dead_letters().dead_letters
            return words(client.redrive_dead_letters([listed.dead_letter_id]).outcomes)

    assert await asyncio.to_thread(redriven) == ["REJECTED"]
