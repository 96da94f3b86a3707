"""What the end-to-end tests send: ratings of MovieLens where it lies beside the repository, else a simulated shop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from deploy.local.shop.catalogue import make_catalogue
from deploy.local.shop.history import past_behaviours
from deploy.local.shop.shopper import make_shoppers
from deploy.local.shop.traffic import event_of as shop_event
from deploy.local.shop.traffic import item_of as shop_item
from freshet.catalog.v1.item_pb2 import Item
from freshet.event.v1.event_pb2 import UserEvent
from services.console.datasets.dataset import Interaction, read_dataset
from services.console.datasets.facts import event_of, item_of

MOVIELENS = Path(__file__).resolve().parents[3] / "shared" / "data" / "ml-100k"
USERS, EVENTS_EACH = 160, 60
SHOP_ITEMS, SHOPPERS, SEED = 300, 160, 1
NOW = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Facts:
    """Items, and events in their order; event ids follow from the content."""

    items: Sequence[Item]
    events: Sequence[UserEvent]


def facts() -> Facts:
    """All items, and 9,600 events."""
    return _movielens() if MOVIELENS.is_dir() else _shop()


def _movielens() -> Facts:
    dataset = read_dataset(MOVIELENS)
    chosen = _taking_turns(dataset.interactions)
    return Facts([item_of(each) for each in dataset.items], [event_of(each, dataset.name) for each in chosen])


def _taking_turns(interactions: Sequence[Interaction]) -> list[Interaction]:
    """The first events of busy users: the first of each user, the second of each, and so on."""
    numbers = Counter(each.user for each in interactions)
    busy = {user for user, number in numbers.most_common() if number >= EVENTS_EACH}
    users = set(list(dict.fromkeys(each.user for each in interactions if each.user in busy))[:USERS])
    turn: Counter[str] = Counter()
    turns: list[list[Interaction]] = [[] for _ in range(EVENTS_EACH)]
    for each in interactions:
        if each.user in users and turn[each.user] < EVENTS_EACH:
            turns[turn[each.user]].append(each)
            turn[each.user] += 1
    return [each for one_turn in turns for each in one_turn]


def _shop() -> Facts:
    catalogue, shoppers = make_catalogue(SEED, SHOP_ITEMS), make_shoppers(SEED, SHOPPERS)
    past = past_behaviours(shoppers, catalogue, SEED, USERS * EVENTS_EACH, NOW)
    events = [
        shop_event(
            each.shopper, each.behaviour, catalogue, {"event_id": f"shop-{number}", "event_time": each.time}
        )
        for number, each in enumerate(past)
    ]
    return Facts([shop_item(catalogue, number) for number in range(len(catalogue))], events)
