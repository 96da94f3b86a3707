"""The shop's catalogue: made from word lists and a seed, always the same for the same seed."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np

from deploy.local.shop.words import CATEGORIES, MAKERS, STYLES

CATEGORY_NAMES, STYLE_NAMES = tuple(CATEGORIES), tuple(STYLES)
MEDIAN_PRICE, PRICE_SPREAD = 40.0, 0.8
APPEAL_SPREAD, POPULARITY_SPREAD = 0.5, 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """V items; arrays are indexed by the item's number.

    category, style: (V,) int, numbers of names. appeal: (V,) float, how much more than others everybody likes
    the item, mean 0. popularity: (V,) float, its share of organic traffic, sums to 1, 0 for what is not
    sold. price: (V,) float.
    """

    item_ids: tuple[str, ...]
    titles: tuple[str, ...]
    makers: tuple[str, ...]
    category: np.ndarray
    style: np.ndarray
    appeal: np.ndarray
    popularity: np.ndarray
    price: np.ndarray

    def __len__(self) -> int:
        return len(self.item_ids)

    def numbers_of(self, item_ids: Iterable[str]) -> list[int]:
        """The numbers of items, in order; ids that are not of this shop are left out."""
        numbers = dict(zip(self.item_ids, range(len(self)), strict=True))
        return [numbers[item_id] for item_id in item_ids if item_id in numbers]


def possible_titles() -> list[tuple[str, str, str, str]]:
    """All (category, style, title, maker) that the words allow, each title once."""
    return [
        (category, style, f"{adjective[0].upper()}{adjective[1:]} {noun} by {maker}", maker)
        for (category, nouns), (style, adjectives) in product(CATEGORIES.items(), STYLES.items())
        for noun, adjective, maker in product(nouns, adjectives, MAKERS)
    ]


def make_catalogue(seed: int, size: int = 1_000) -> Catalogue:
    """A catalogue of `size` items. Raises ValueError if there are not so many different titles."""
    rng = np.random.default_rng([seed, 0])
    titles = possible_titles()
    if not 1 <= size <= len(titles):
        raise ValueError(f"size must be 1 to {len(titles)}, not {size}")
    chosen = [titles[number] for number in rng.choice(len(titles), size, replace=False)]
    appeal, popularity = drawn_appeal(size, rng)
    return Catalogue(
        item_ids=tuple(f"sku-{number:05d}" for number in range(1, size + 1)),
        titles=tuple(title for _, _, title, _ in chosen),
        makers=tuple(maker for *_, maker in chosen),
        category=np.array([CATEGORY_NAMES.index(category) for category, *_ in chosen]),
        style=np.array([STYLE_NAMES.index(style) for _, style, *_ in chosen]),
        appeal=appeal,
        popularity=popularity,
        price=np.round(MEDIAN_PRICE * np.exp(rng.normal(0.0, PRICE_SPREAD, size)), 2),
    )


def drawn_appeal(size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """What is in fashion: appeal (V,) float and popularity (V,) float of as many items, as a catalogue has them."""
    appeal = rng.normal(0.0, APPEAL_SPREAD, size)
    popularity = np.exp(rng.normal(appeal, POPULARITY_SPREAD))
    return appeal, popularity / popularity.sum()
