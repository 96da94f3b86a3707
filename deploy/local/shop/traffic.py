"""The shoppers at the shop's door: everything they do goes through the public API."""

import asyncio
import math
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Self

from deploy.local.shop.catalogue import CATEGORY_NAMES, STYLE_NAMES, Catalogue, make_catalogue
from deploy.local.shop.history import PastBehaviour, past_behaviours
from deploy.local.shop.shopper import (
    PAGE_SIZE,
    Behaviour,
    Shopper,
    category_page,
    drift,
    make_shoppers,
    random_page,
    react,
)
from deploy.local.shop.statistics import CONTROL, PERSONALISED, TRENDING, Statistics
from freshet.catalog.v1.item_pb2 import Item
from freshet.event.v1.event_pb2 import EventItem, UserEvent
from freshet.ingestion.v1.ingestion_pb2 import WRITE_STATUS_REJECTED
from freshet.ranking.v1.ranking_pb2 import RecommendResponse
from shared.client import FailedPrecondition, FreshetClient, FreshetError, user_event
from shared.client.events import EventFields
from shared.client.patience import PASSING, Patience, Written, write_all

BATCH_SIZE = 500
VISITORS = 24
# What a person in a shop does at most. Ingestion refuses who sends more than 2 a second for long (`refuse-floods`).
EVENTS_PER_SECOND_AND_SHOPPER = 1.5
ORGANIC_SHARE = 0.3
ROUNDS_MEAN = 3
HOME, CATEGORY_PAGE = "home", "category-page"


class RefusedError(Exception):
    """The shop sent something that Freshet refuses; the message says what and why."""


@dataclass(frozen=True, slots=True)
class ShopSettings:
    """How large the shop is and how busy. Equal seeds make equal shops."""

    seed: int = 1
    item_count: int = 1_000
    shopper_count: int = 300
    warm_up_events: int = 60_000
    events_per_second: float = 200.0

    @property
    def places(self) -> int:
        """How many shoppers are in the shop at a time."""
        return min(VISITORS, self.shopper_count)

    def bearable(self) -> Self:
        """The same shop, with no more events than so many shoppers may send: places share the rate evenly, so that the
        place with the fewest shoppers limits it."""
        most = EVENTS_PER_SECOND_AND_SHOPPER * self.places * (self.shopper_count // self.places)
        return replace(self, events_per_second=min(self.events_per_second, most))


class Pace:
    """Lets at most so many events through in a second, evenly."""

    def __init__(self, per_second: float) -> None:
        self._interval_seconds = 1.0 / per_second
        self._next = 0.0

    async def take(self) -> None:
        """Waits for the next turn."""
        now = time.monotonic()
        self._next = max(self._next, now) + self._interval_seconds
        await asyncio.sleep(self._next - self._interval_seconds - now)


@dataclass(slots=True)
class Visit:
    """One shopper in the shop: the newest token, and when the event that it stands for was sent."""

    shopper: Shopper
    session_id: str
    token: str = ""
    sent: float = math.nan


class Traffic:
    """The simulated shoppers. A service that goes away is waited for; one shopper's events stay in order."""

    def __init__(self, client: FreshetClient, settings: ShopSettings, statistics: Statistics) -> None:
        self._client, self._settings, self._statistics = client, settings, statistics
        self._catalogue = make_catalogue(settings.seed, settings.item_count)
        self._shoppers = make_shoppers(settings.seed, settings.shopper_count)
        self._pace = Pace(settings.events_per_second)

    async def stock(self) -> None:
        """Puts the catalogue in. Raises RefusedError if an item is refused."""
        items = [item_of(self._catalogue, number) for number in range(len(self._catalogue))]
        for start in range(0, len(items), BATCH_SIZE):
            batch = items[start : start + BATCH_SIZE]
            _check(await write_all(self._client.upsert_items, batch, self._patience()))

    async def warm_up(self) -> None:
        """Writes the past: events of the days before now, in batches. A second time changes nothing.

        Raises RefusedError if an event is refused.
        """
        past = past_behaviours(
            self._shoppers,
            self._catalogue,
            self._settings.seed,
            self._settings.warm_up_events,
            datetime.now(UTC),
        )
        events = [self._past_event(number, each) for number, each in enumerate(past)]
        for start in range(0, len(events), BATCH_SIZE):
            batch = events[start : start + BATCH_SIZE]
            _check(await write_all(self._client.batch_write_user_events, batch, self._patience()))
            self._statistics.written(time.monotonic(), len(batch))

    async def run(self) -> None:
        """Lets shoppers visit until cancelled. Each visitor place has shoppers of its own."""
        places = self._settings.places
        async with asyncio.TaskGroup() as group:
            for place in range(places):
                group.create_task(self._visitor(self._shoppers[place::places]))

    async def _visitor(self, shoppers: list[Shopper]) -> None:
        while True:
            shopper = shoppers[int(shoppers[0].rng.integers(len(shoppers)))]
            await self._visit(Visit(shopper, session_id=f"{shopper.user_id}-{time.time_ns():x}"))

    async def _visit(self, visit: Visit) -> None:
        shopper = visit.shopper
        if shopper.rng.random() < ORGANIC_SHARE:
            await self._show(visit, category_page(shopper, self._catalogue), CATEGORY_PAGE, "")
        for _ in range(1 + shopper.rng.poisson(ROUNDS_MEAN - 1)):
            await self._home(visit)
        drift(shopper)

    async def _home(self, visit: Visit) -> None:
        if visit.shopper.control:
            shown = random_page(visit.shopper, self._catalogue)
            clicks = await self._show(visit, shown, HOME, "")
            self._statistics.arms[CONTROL].add(visit.shopper.user_id, len(shown), clicks)
            return
        answer = await self._recommended(visit)
        results = answer.results if answer is not None else []
        shown = self._catalogue.numbers_of(result.item_id for result in results)
        if answer is None or not shown:
            await self._pace.take()
            return
        clicks = await self._show(visit, shown, HOME, answer.attribution_token)
        arm = PERSONALISED if is_personalised(answer) else TRENDING
        self._statistics.arms[arm].add(visit.shopper.user_id, len(shown), clicks)

    async def _recommended(self, visit: Visit) -> RecommendResponse | None:
        """What is recommended, reflecting the visit's last event; None if it cannot be told now."""
        try:
            answer = await self._client.recommend(
                visit.shopper.user_id,
                session_id=visit.session_id,
                placement=HOME,
                page_size=PAGE_SIZE,
                min_consistency_token=visit.token,
            )
        except (*PASSING, FailedPrecondition) as error:
            self._failed(error)
            return None
        delay_seconds = time.monotonic() - visit.sent if visit.token else None
        self._statistics.answered(delay_seconds, bool(answer.degraded))
        return answer

    async def _show(self, visit: Visit, shown: list[int], placement: str, attribution_token: str) -> int:
        """Shows a list and writes what the shopper does with it. Returns how many items were clicked."""
        behaviours = react(visit.shopper, self._catalogue, shown)
        for behaviour in behaviours:
            fields = EventFields(
                session_id=visit.session_id, placement=placement, attribution_token=attribution_token
            )
            await self._write(visit, event_of(visit.shopper, behaviour, self._catalogue, fields))
        return sum(behaviour.event_type == "click" for behaviour in behaviours)

    async def _write(self, visit: Visit, event: UserEvent) -> None:
        await self._pace.take()
        patience = self._patience()

        async def send() -> str:
            visit.sent = time.monotonic()
            return (await self._client.write_user_event(event)).consistency_token

        visit.token = await patience.until_answered(send)
        self._statistics.written(time.monotonic())

    def _past_event(self, number: int, past: PastBehaviour) -> UserEvent:
        fields = EventFields(
            event_id=f"shop-{self._settings.seed}-{number}", event_time=past.time, placement=CATEGORY_PAGE
        )
        return event_of(past.shopper, past.behaviour, self._catalogue, fields)

    def _patience(self) -> Patience:
        return Patience(math.inf, self._failed)

    def _failed(self, error: FreshetError) -> None:
        self._statistics.failures[f"{error.origin.service} {error.code.name}"] += 1


def _check(written: Written) -> None:
    for outcome in written.outcomes:
        if outcome.status == WRITE_STATUS_REJECTED:
            why = "; ".join(f"{violation.field}: {violation.description}" for violation in outcome.violations)
            raise RefusedError(f"{outcome.id}: {why}")


def is_personalised(answer: RecommendResponse) -> bool:
    """Whether a model ranked the answer for this very shopper."""
    return bool(answer.model_version) and any(result.source == "model" for result in answer.results)


def item_of(catalogue: Catalogue, number: int) -> Item:
    """The catalogue's entry of an item."""
    categories = [CATEGORY_NAMES[catalogue.category[number]], STYLE_NAMES[catalogue.style[number]]]
    return Item(
        item_id=catalogue.item_ids[number],
        title=catalogue.titles[number],
        categories=categories,
        brand=catalogue.makers[number],
        price=float(catalogue.price[number]),
    )


def event_of(shopper: Shopper, behaviour: Behaviour, catalogue: Catalogue, fields: EventFields) -> UserEvent:
    """What a shopper did, as an event."""
    positions = behaviour.positions or (0,) * len(behaviour.items)
    items = [
        EventItem(item_id=catalogue.item_ids[number], position=position, value=behaviour.value)
        for number, position in zip(behaviour.items, positions, strict=True)
    ]
    return user_event(behaviour.event_type, shopper.user_id, items, **fields)
