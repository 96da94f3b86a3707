"""How a shopper behaves: a taste that drifts, and reactions to what is shown. Seeded, without I/O or clock.

Clicks follow the examination hypothesis: P(click) = P(looks at the position) x relevance to the shopper.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import xxhash

from deploy.local.shop.catalogue import CATEGORY_NAMES, STYLE_NAMES, Catalogue

DRIFT = 0.005
JUMP_PROBABILITY = 0.01
CATEGORY_SPREAD, STYLE_SPREAD = 2.0, 1.5
RELEVANCE_AT_BEST, RELEVANCE_OFFSET = 0.5, 3.5
POSITION_DECAY = 0.35
FAMILIAR_ITEMS, FAMILIAR_FACTOR = 50, 0.5
VIEW_AFTER_CLICK, CART_AFTER_VIEW, PURCHASE_AFTER_CART, REMOVE_AFTER_CART = 0.6, 0.25, 0.4, 0.2
PAGE_SIZE = 12


@dataclass(slots=True)
class Taste:
    """What a shopper likes: category (C,) and style (S,), in log-odds of a click; 0 is indifferent."""

    category: np.ndarray
    style: np.ndarray

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Taste":
        """A new taste."""
        return cls(
            rng.normal(0.0, CATEGORY_SPREAD, len(CATEGORY_NAMES)),
            rng.normal(0.0, STYLE_SPREAD, len(STYLE_NAMES)),
        )

    def affinity(self, catalogue: Catalogue, items: np.ndarray) -> np.ndarray:
        """How much each item appeals, (N,) float in log-odds."""
        return (
            self.category[catalogue.category[items]]
            + self.style[catalogue.style[items]]
            + catalogue.appeal[items]
        )


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One thing a shopper does: the event type, the items (numbers), the places they were shown at (from 1;
    empty for none), and what was paid."""

    event_type: str
    items: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()
    value: float | None = None


@dataclass(slots=True)
class Shopper:
    """One shopper; `control` ones are shown lists in random order instead of recommendations."""

    user_id: str
    taste: Taste
    rng: np.random.Generator
    clicked: deque[int] = field(default_factory=lambda: deque(maxlen=FAMILIAR_ITEMS))
    bought: set[int] = field(default_factory=set)

    @property
    def control(self) -> bool:
        """Whether the shopper belongs to the control group: half of all, by a hash of the id."""
        return is_control(self.user_id)


def is_control(user_id: str) -> bool:
    """Whether a user belongs to the control group."""
    return bool(xxhash.xxh3_64_intdigest(f"control:{user_id}".encode()) & 1)


def make_shoppers(seed: int, count: int) -> list[Shopper]:
    """The shop's shoppers, each with a random generator of its own."""
    generators = np.random.default_rng([seed, 1]).spawn(count)
    return [
        Shopper(f"shopper-{number:04d}", Taste.drawn(rng), rng)
        for number, rng in enumerate(generators, start=1)
    ]


def drift(shopper: Shopper) -> None:
    """Moves the taste a little, and rarely to a new one altogether. How strong tastes are stays the same."""
    if shopper.rng.random() < JUMP_PROBABILITY:
        shopper.taste = Taste.drawn(shopper.rng)
        return
    fresh, kept = Taste.drawn(shopper.rng), 1.0 - DRIFT
    share = np.sqrt(1.0 - kept**2)
    shopper.taste = Taste(
        kept * shopper.taste.category + share * fresh.category,
        kept * shopper.taste.style + share * fresh.style,
    )


def click_probabilities(shopper: Shopper, catalogue: Catalogue, shown: Sequence[int]) -> np.ndarray:
    """The probability of a click at each place of a list, (N,) float in [0, 1]."""
    items = np.asarray(shown, dtype=np.int64)
    looks = 1.0 / np.arange(1, len(items) + 1) ** POSITION_DECAY
    affinity = shopper.taste.affinity(catalogue, items)
    relevance = RELEVANCE_AT_BEST / (1.0 + np.exp(RELEVANCE_OFFSET - affinity))
    known = np.array([item in shopper.clicked for item in shown], dtype=bool)
    had = np.array([item in shopper.bought for item in shown], dtype=bool)
    return looks * relevance * np.where(known, FAMILIAR_FACTOR, 1.0) * ~had


def react(shopper: Shopper, catalogue: Catalogue, shown: Sequence[int]) -> list[Behaviour]:
    """What the shopper does with a list: sees it, and goes on with what is clicked."""
    clicks = shopper.rng.random(len(shown)) < click_probabilities(shopper, catalogue, shown)
    behaviours = [Behaviour("view-item-list", tuple(shown), tuple(range(1, len(shown) + 1)))]
    for place, item in enumerate(shown, start=1):
        if clicks[place - 1]:
            behaviours += _funnel(shopper, catalogue, item, place)
    return behaviours


def category_page(shopper: Shopper, catalogue: Catalogue, size: int = PAGE_SIZE) -> list[int]:
    """What the shopper finds without recommendations: popular items of a category that is to the taste."""
    sold = catalogue.popularity > 0
    stocked = np.bincount(catalogue.category[sold], minlength=len(CATEGORY_NAMES)) > 0
    liking = np.exp(shopper.taste.category) * stocked
    category = shopper.rng.choice(len(liking), p=liking / liking.sum())
    members = np.flatnonzero(sold & (catalogue.category == category))
    share = catalogue.popularity[members]
    drawn = shopper.rng.choice(members, min(size, len(members)), replace=False, p=share / share.sum())
    return [int(item) for item in drawn]


def random_page(shopper: Shopper, catalogue: Catalogue, size: int = PAGE_SIZE) -> list[int]:
    """What the control group is shown: items of the catalogue at random, in random order."""
    drawn = shopper.rng.choice(len(catalogue), min(size, len(catalogue)), replace=False)
    return [int(item) for item in drawn]


def _funnel(shopper: Shopper, catalogue: Catalogue, item: int, place: int) -> list[Behaviour]:
    shopper.clicked.append(item)
    behaviours = [Behaviour("click", (item,), (place,))]
    if shopper.rng.random() >= VIEW_AFTER_CLICK:
        return behaviours
    behaviours.append(Behaviour("view-item", (item,)))
    if shopper.rng.random() < CART_AFTER_VIEW:
        behaviours += _cart(shopper, catalogue, item)
    return behaviours


def _cart(shopper: Shopper, catalogue: Catalogue, item: int) -> list[Behaviour]:
    price = float(catalogue.price[item])
    ending = shopper.rng.random()
    behaviours = [Behaviour("add-to-cart", (item,), value=price)]
    if ending < PURCHASE_AFTER_CART:
        shopper.bought.add(item)
        behaviours.append(Behaviour("purchase", (item,), value=price))
    elif ending < PURCHASE_AFTER_CART + REMOVE_AFTER_CART:
        behaviours.append(Behaviour("remove-from-cart", (item,)))
    return behaviours
