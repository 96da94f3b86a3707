"""Rows for items that are left out of a table, without and with vectors of their texts: which neighbours they find."""

from __future__ import annotations

import numpy as np
import pytest

from deploy.local.shop.catalogue import CATEGORY_NAMES, STYLE_NAMES
from deploy.local.shop.simulation import Simulation, simulate
from services.trainer.text_embedding import TextEmbedding
from tests.bench.left_out import NEIGHBOURS, Table, found, rows

EMBEDDING = TextEmbedding()
SAME_MEANING = (
    "couch armchair recliner bench stool sofa",
    "lantern chandelier bulb spotlight torch lamp",
    "parka raincoat blazer cardigan hoodie jacket",
    "sneakers sandals slippers loafers heels boots",
    "tea espresso juice lemonade soda coffee",
    "cookies chocolate candy brownie biscuit cake",
    "violin piano drums trumpet flute guitar",
    "dog cat hamster kitten rabbit puppy",
    "screwdriver wrench drill pliers saw hammer",
    "basketball tennis golf baseball volleyball football",
)
"""Names of things of a kind; the last one of each is that of items which are left out of the table."""
LOOKS = ("red", "blue", "classic", "modern", "large", "small", "new", "premium")


@pytest.fixture(scope="module")
def synonyms() -> tuple[Table, np.ndarray]:
    """Items whose names share no word with those of their kind, but mean about the same."""
    random = np.random.default_rng(0)
    names = [(kind, name) for kind, line in enumerate(SAME_MEANING) for name in line.split()] * 4
    titles = [f"{random.choice(LOOKS)} {name}" for _, name in names]
    centres, noise = random.normal(size=(len(SAME_MEANING), 16)), random.normal(size=(len(names), 16))
    vectors = centres[[kind for kind, _ in names]] + 0.5 * noise
    left_out = np.array([name == SAME_MEANING[kind].split()[-1] for kind, name in names])
    return Table([()] * len(names), titles, vectors.astype(np.float32)), left_out


@pytest.fixture(scope="module")
def simulated() -> tuple[Table, np.ndarray]:
    """Items of the simulated shop, named by styles and invented words; those are alike that the same shoppers
    touched."""
    catalogue, log = simulate(Simulation(events=12_000, shoppers=250, items=150, seed=4))
    touched = np.zeros((250, 150))
    for past in log:
        touched[int(past.shopper.user_id.removeprefix("shopper-")) - 1, past.behaviour.items[0]] = 1.0
    _, lengths, axes = np.linalg.svd(touched - touched.mean(axis=0), full_matrices=False)
    vectors = (axes[:16].T * np.sqrt(lengths[:16])).astype(np.float32)
    kinds = zip(catalogue.category, catalogue.style, strict=True)
    categories = [(CATEGORY_NAMES[category], STYLE_NAMES[style]) for category, style in kinds]
    left_out = np.random.default_rng(0).permutation(150) < 30
    return Table(categories, catalogue.titles, vectors), left_out


def test_items_that_mean_the_same_in_other_words_find_their_neighbours_by_texts_alone(synonyms):
    table, left_out = synonyms
    by_chance = NEIGHBOURS / np.count_nonzero(~left_out)
    assert found(table, left_out, None).neighbours < 2 * by_chance
    assert found(table, left_out, EMBEDDING).neighbours > 4 * by_chance


def test_texts_beside_categories_that_say_it_all_do_no_harm(simulated):
    by_texts, by_tags = found(*simulated, EMBEDDING), found(*simulated, None)
    assert by_texts.neighbours > by_tags.neighbours - 0.02


def test_rows_with_texts_are_the_same_each_time(synonyms):
    assert np.array_equal(rows(*synonyms, EMBEDDING), rows(*synonyms, EMBEDDING))
