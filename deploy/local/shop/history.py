"""The past of the shop: visits of past days, in the order of their time. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from deploy.local.shop.catalogue import Catalogue
from deploy.local.shop.shopper import Behaviour, Shopper, category_page, drift, react

DAYS = 14
SECONDS_BETWEEN_EVENTS = 5


@dataclass(frozen=True, slots=True)
class PastBehaviour:
    """What a shopper did, and when."""

    shopper: Shopper
    behaviour: Behaviour
    time: datetime


def past_behaviours(
    shoppers: list[Shopper], catalogue: Catalogue, seed: int, count: int, until: datetime
) -> Iterator[PastBehaviour]:
    """`count` behaviours of organic visits over the days before `until`, oldest visit first."""
    visits = _visits(shoppers, catalogue, np.random.default_rng([seed, 2]), count)
    start = until - timedelta(days=DAYS)
    step = timedelta(days=DAYS) / max(1, len(visits))
    left = count
    for number, (shopper, behaviours) in enumerate(visits):
        for place, behaviour in enumerate(behaviours[:left]):
            time = start + number * step + timedelta(seconds=place * SECONDS_BETWEEN_EVENTS)
            yield PastBehaviour(shopper, behaviour, min(time, until))
        left -= len(behaviours)


def _visits(
    shoppers: list[Shopper], catalogue: Catalogue, rng: np.random.Generator, count: int
) -> list[tuple[Shopper, list[Behaviour]]]:
    visits = []
    while count > 0:
        shopper = shoppers[rng.integers(len(shoppers))]
        behaviours = react(shopper, catalogue, category_page(shopper, catalogue))
        drift(shopper)
        visits.append((shopper, behaviours))
        count -= len(behaviours)
    return visits
