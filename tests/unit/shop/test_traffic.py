"""What the shoppers send, against a client that records it."""

import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import replace

import grpc
import pytest

from deploy.local.shop.shopper import is_control
from deploy.local.shop.statistics import Statistics
from deploy.local.shop.traffic import (
    EVENTS_PER_SECOND_AND_SHOPPER,
    Pace,
    RefusedError,
    ShopSettings,
    Traffic,
)
from freshet.ingestion.v1 import ingestion_pb2
from freshet.ranking.v1 import ranking_pb2
from shared.client import Unavailable
from shared.client.errors import Details, Origin
from shared.domain.presets.cleaning_steps import RefuseFloods

SMALL = ShopSettings(item_count=50, shopper_count=8, warm_up_events=60, events_per_second=1e6)


class RecordingClient:
    """Takes everything; ends the shop after `enough` events."""

    def __init__(self, enough: int = 200) -> None:
        self.enough, self.done = enough, asyncio.Event()
        self.events, self.batches, self.items, self.requests = [], [], [], []
        self.in_flight: Counter[str] = Counter()
        self.most_in_flight = 0
        self.failures = 0
        self.refuse_items = False

    async def write_user_event(self, event):
        """Counts what one user has in flight, and takes the event."""
        if self.failures:
            self.failures -= 1
            raise _away(event.event_id)
        self.in_flight[event.user_id] += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight[event.user_id])
        await asyncio.sleep(0)
        self.events.append(event)
        self.in_flight[event.user_id] -= 1
        if len(self.events) >= self.enough:
            self.done.set()
        return ingestion_pb2.WriteUserEventResponse(consistency_token=f"after-{event.event_id}")

    async def batch_write_user_events(self, events):
        """Takes a batch."""
        self.batches.append(events)
        accepted = ingestion_pb2.WRITE_STATUS_ACCEPTED
        outcomes = [ingestion_pb2.WriteOutcome(id=event.event_id, status=accepted) for event in events]
        return ingestion_pb2.BatchWriteUserEventsResponse(outcomes=outcomes)

    async def upsert_items(self, items):
        """Takes or refuses items."""
        self.items += items
        status = (
            ingestion_pb2.WRITE_STATUS_REJECTED if self.refuse_items else ingestion_pb2.WRITE_STATUS_ACCEPTED
        )
        violations = [ingestion_pb2.Violation(field="title", description="is too long")]
        outcomes = [
            ingestion_pb2.WriteOutcome(id=i.item_id, status=status, violations=violations) for i in items
        ]
        return ingestion_pb2.UpsertItemsResponse(outcomes=outcomes)

    async def recommend(self, user_id, **fields):
        """Recommends the first items, by a model."""
        self.requests.append((user_id, fields, len(self.events)))
        results = [
            ranking_pb2.RecommendResult(item_id=f"sku-{place:05d}", source="model", position=place)
            for place in range(1, fields["page_size"] + 1)
        ]
        return ranking_pb2.RecommendResponse(
            results=results, model_version="m", attribution_token=f"answer-{len(self.requests)}"
        )


def _away(request_id: str) -> Unavailable:
    origin = Origin("ingestion", "127.0.0.1:1", "WriteUserEvent", request_id)
    return Unavailable(grpc.StatusCode.UNAVAILABLE, "away", Details(retry_delay_seconds=0.001), origin)


async def opened(client: RecordingClient) -> Statistics:
    """Lets the shop run until the client has enough."""
    statistics = Statistics(started=time.monotonic())
    running = asyncio.create_task(Traffic(client, SMALL, statistics).run())
    await asyncio.wait(
        {running, asyncio.create_task(client.done.wait())}, return_when=asyncio.FIRST_COMPLETED
    )
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    return statistics


async def test_one_shopper_has_never_two_events_in_flight():
    client = RecordingClient()
    await opened(client)
    assert len({event.user_id for event in client.events}) > 1
    assert client.most_in_flight == 1


async def test_the_control_group_never_asks_for_recommendations():
    client = RecordingClient()
    await opened(client)
    assert client.requests
    assert not any(is_control(user) for user, *_ in client.requests)


async def test_an_answer_must_reflect_the_last_event_of_its_shopper():
    client = RecordingClient()
    await opened(client)
    for user, fields, position in client.requests:
        earlier = [f"after-{e.event_id}" for e in client.events[:position] if e.user_id == user]
        assert fields["min_consistency_token"] in ("", *earlier[-1:])


async def test_what_an_answer_leads_to_carries_its_attribution_token():
    client = RecordingClient()
    await opened(client)
    shown = [event for event in client.events if event.placement == "home"]
    assert all(bool(event.attribution_token) is not is_control(event.user_id) for event in shown)


async def test_impressions_and_clicks_are_counted_by_group():
    client = RecordingClient()
    statistics = await opened(client)
    control, personalised = statistics.arms["control"], statistics.arms["personalised"]
    assert all(is_control(user) for user in control.impressions)
    assert not any(is_control(user) for user in personalised.impressions)
    assert statistics.arms["trending"].total_impressions == 0
    assert len(statistics.delays) > 0


async def test_an_event_is_sent_again_with_its_id_while_ingestion_is_away():
    client = RecordingClient(enough=20)
    client.failures = 3
    statistics = await opened(client)
    assert statistics.failures["ingestion UNAVAILABLE"] == 3
    assert len({event.event_id for event in client.events}) == len(client.events)


async def test_a_second_warm_up_writes_the_same_ids_in_the_past():
    client = RecordingClient()
    for _ in range(2):
        await Traffic(client, SMALL, Statistics(started=0.0)).warm_up()
    first, second = ([event.event_id for event in batch] for batch in client.batches)
    assert first == second
    assert len(set(first)) == 60
    assert all(event.event_time.seconds <= time.time() for event in client.batches[0])


async def test_the_whole_catalogue_is_stocked_with_titles_and_prices():
    client = RecordingClient()
    await Traffic(client, SMALL, Statistics(started=0.0)).stock()
    assert len(client.items) == 50
    assert all(item.title and item.price > 0 and len(item.categories) == 2 for item in client.items)


async def test_a_refused_item_is_named_with_the_reason():
    client = RecordingClient()
    client.refuse_items = True
    with pytest.raises(RefusedError, match="sku-00001: title: is too long"):
        await Traffic(client, SMALL, Statistics(started=0.0)).stock()


@pytest.mark.parametrize("count", [2, 23, 24, 25, 47, 48, 100, 300])
def test_no_shopper_sends_more_than_ingestion_takes_for_a_person(count):
    shop = replace(SMALL, shopper_count=count).bearable()
    most_of_one = shop.events_per_second / shop.places / (count // shop.places)
    assert most_of_one == EVENTS_PER_SECOND_AND_SHOPPER < RefuseFloods().refill_per_second


def test_a_shop_that_is_bearable_stays_as_busy_as_it_was_to_be():
    assert ShopSettings().bearable() == ShopSettings()


async def test_the_pace_lets_no_more_through_than_it_may():
    pace, began = Pace(1_000.0), time.monotonic()
    for _ in range(21):
        await pace.take()
    assert time.monotonic() - began >= 0.02
