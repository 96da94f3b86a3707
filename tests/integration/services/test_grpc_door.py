"""Ingestion's gRPC door: bad input gets a typed error that names the field, and the service goes on."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from freshet.event.v1.event_pb2 import Attribute, EventItem, UserEvent
from freshet.ingestion.v1.ingestion_pb2 import WriteStatus
from shared.client import InvalidArgument
from shared.client.errors import Origin, decode_error
from tests.builders import catalogue_item, message
from tests.integration.services.conftest import words

pytestmark = pytest.mark.asyncio(loop_scope="session")
NEXT_YEAR = datetime.now(UTC) + timedelta(days=365)


async def refused(action) -> list[str]:
    """The fields named by the refusal."""
    with pytest.raises(InvalidArgument) as caught:
        await action
    assert caught.value.reason == "INVALID_FIELDS"
    return [violation.field for violation in caught.value.violations]


@pytest.mark.parametrize(
    "event, field",
    [
        (message("stare"), "event_type"),
        (message(user_id=""), "user_id"),
        (message(items=()), "items"),
        (message(items=["good", ""]), "items[1].item_id"),
        (message(event_time=datetime(1970, 1, 1, tzinfo=UTC)), "event_time"),
        (message(event_time=NEXT_YEAR), "event_time"),
        (message(event_id="a b"), "event_id"),
        (message(attributes={"page": Attribute(text=["x" * 10_000_000])}), 'attributes["page"]'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_bad_event_is_refused_by_field_and_the_next_one_taken(ingestion, event, field):
    assert await refused(ingestion.client.write_user_event(event)) == [f"user_event.{field}"]
    assert (await ingestion.client.write_user_event(message())).consistency_token


async def test_in_a_batch_each_event_has_its_outcome(ingestion):
    events = [message(event_id="batch-1"), message("stare"), message(event_id="batch-1"), message(user_id="")]
    answer = await ingestion.client.batch_write_user_events(events)
    assert words(answer.outcomes) == ["ACCEPTED", "REJECTED", "DUPLICATE", "REJECTED"]
    assert [each.field for outcome in answer.outcomes for each in outcome.violations] == [
        "event_type",
        "user_id",
    ]
    assert answer.outcomes[2].position == answer.outcomes[0].position


@pytest.mark.parametrize("size", [0, 1001])
async def test_a_batch_of_the_wrong_size_is_refused(ingestion, size):
    assert await refused(ingestion.client.batch_write_user_events([message()] * size)) == ["user_events"]
    assert await refused(ingestion.client.upsert_items([catalogue_item()] * size)) == ["items"]


async def test_checking_an_event_writes_nothing(ingestion):
    before = await ingestion.log_length()
    await ingestion.client.write_user_event(message(), validate_only=True)
    assert await refused(ingestion.client.write_user_event(message("stare"), validate_only=True))
    assert await ingestion.log_length() == before


async def test_items_are_taken_once_for_each_version(ingestion):
    item, other = catalogue_item("grpc-1"), catalogue_item("grpc-1", title="another")
    first = await ingestion.client.upsert_items([item, catalogue_item("")])
    assert words(first.outcomes) == ["ACCEPTED", "REJECTED"]
    assert [each.field for each in first.outcomes[1].violations] == ["item_id"]
    assert words((await ingestion.client.upsert_items([other])).outcomes) == ["ACCEPTED"]


@pytest.mark.parametrize("method", ["WriteUserEvent", "UpsertItems", "DeleteItems", "ListDeadLetters"])
async def test_bytes_that_are_no_request_get_a_typed_error(ingestion, method):
    call = ingestion.client.channel("ingestion").unary_unary(
        f"/freshet.ingestion.v1.IngestionService/{method}"
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"\xff\xff\xff")
    error = decode_error(caught.value, Origin("ingestion", "", method, ""))
    assert isinstance(error, InvalidArgument)
    assert [(each.field, each.reason) for each in error.violations] == [("request", "MALFORMED")]


async def test_more_wrong_fields_than_an_error_holds_are_counted(ingestion):
    wrong = EventItem(quantity=-1, position=-1, value=math.nan)
    event = message()
    event.items.extend([wrong] * 99)
    with pytest.raises(InvalidArgument) as caught:
        await ingestion.client.write_user_event(event)
    assert caught.value.violations[0].field == "user_event.items[1].item_id"
    assert caught.value.text.endswith("(and 395 more)")


async def test_unknown_fields_do_not_swell_an_event(ingestion):
    swollen = message(event_id="swollen").SerializeToString() + b"\xfa\x3e\x80\x89\x7a" + b"x" * 2_000_000
    response = await ingestion.client.write_user_event(UserEvent.FromString(swollen))
    assert response.status == WriteStatus.WRITE_STATUS_ACCEPTED
