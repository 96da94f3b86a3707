"""A shop's log from first to last, without a suite: for judging what learns from it. Seeded and pure.

With a shift, everybody's taste and what is in fashion are drawn anew at one moment, and goods come in that were never
sold before: what was learned until then is worth less from there on.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import numpy as np

from deploy.local.shop.catalogue import Catalogue, drawn_appeal, make_catalogue
from deploy.local.shop.history import DAYS, SECONDS_BETWEEN_EVENTS, PastBehaviour
from deploy.local.shop.shopper import Behaviour, Shopper, Taste, category_page, drift, make_shoppers, react

END = datetime(2026, 1, 1, tzinfo=UTC)
SHOWN = "view-item-list"


class SoldOutError(Exception):
    """Everybody has bought everything, and nobody does anything with what they have; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """How large the shop is and what happens in it. Equal ones have equal logs.

    events: how many, all about one item. shift: share of the events before taste and fashion change, in (0, 1); None
    for never. new_share: share of the items that is sold from the shift on only, in [0, 1).
    """

    events: int = 60_000
    shoppers: int = 500
    items: int = 300
    shift: float | None = None
    new_share: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.shift is not None and not 0.0 < self.shift < 1.0:
            raise ValueError(f"shift must lie between 0 and 1, not {self.shift}")
        if not 0.0 <= self.new_share < 1.0 or (self.new_share and self.shift is None):
            raise ValueError(
                f"new_share must be 0 without a shift, else at least 0 and below 1: {self.new_share}"
            )


def simulate(simulation: Simulation) -> tuple[Catalogue, list[PastBehaviour]]:
    """All items with what everybody did, by time. Raises SoldOutError if there are too few items for so many events.

    Decision: lists that were shown are left out, since they enter no history and nothing learns from them.
    """
    catalogue = make_catalogue(simulation.seed, simulation.items)
    visits = _visits(simulation, catalogue)
    step = timedelta(days=DAYS) / max(1, len(visits))
    start = END - timedelta(days=DAYS)
    log = [
        PastBehaviour(
            shopper, behaviour, start + number * step + timedelta(seconds=place * SECONDS_BETWEEN_EVENTS)
        )
        for number, (shopper, behaviours) in enumerate(visits)
        for place, behaviour in enumerate(behaviours)
    ]
    return catalogue, sorted(log, key=lambda past: past.time)


def _visits(simulation: Simulation, catalogue: Catalogue) -> list[tuple[Shopper, list[Behaviour]]]:
    """Who did what, visit by visit; the last one is cut so that the events are as many as wanted."""
    rng = np.random.default_rng([simulation.seed, 3])
    shoppers = make_shoppers(simulation.seed, simulation.shoppers)
    before = 0 if simulation.shift is None else round(simulation.shift * simulation.events)
    sold = without_new(catalogue, simulation.new_share, rng) if before else catalogue
    first = _until(before, shoppers, sold, rng)
    if before:
        catalogue = shifted(shoppers, catalogue, rng)
    return first + _until(simulation.events - before, shoppers, catalogue, rng)


def _until(
    count: int, shoppers: list[Shopper], catalogue: Catalogue, rng: np.random.Generator
) -> list[tuple[Shopper, list[Behaviour]]]:
    visits = []
    sold = np.count_nonzero(catalogue.popularity)
    while count > 0:
        shopper = shoppers[rng.integers(len(shoppers))]
        shown = react(shopper, catalogue, category_page(shopper, catalogue))
        done = list(islice(_about_one_item(shown), count))
        drift(shopper)
        if done:
            visits.append((shopper, done))
            count -= len(done)
        elif all(len(each.bought) >= sold for each in shoppers):
            raise SoldOutError(
                f"every shopper has bought everything that is sold, {count:,} events too early: there must be more "
                "items or shoppers, or fewer events"
            )
    return visits


def _about_one_item(behaviours: list[Behaviour]) -> Iterator[Behaviour]:
    return (behaviour for behaviour in behaviours if behaviour.event_type != SHOWN)


def without_new(catalogue: Catalogue, share: float, rng: np.random.Generator) -> Catalogue:
    """The catalogue while a share of its items, drawn at random, is not sold yet."""
    popularity = catalogue.popularity.copy()
    popularity[rng.choice(len(catalogue), int(share * len(catalogue)), replace=False)] = 0.0
    return replace(catalogue, popularity=popularity / popularity.sum())


def shifted(shoppers: list[Shopper], catalogue: Catalogue, rng: np.random.Generator) -> Catalogue:
    """Draws everybody's taste anew, and gives the catalogue as it is in the new fashion."""
    for shopper in shoppers:
        shopper.taste = Taste.drawn(shopper.rng)
    appeal, popularity = drawn_appeal(len(catalogue), rng)
    return replace(catalogue, appeal=appeal, popularity=popularity)
