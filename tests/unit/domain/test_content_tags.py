"""What the catalogue says of an item, as tags."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.shop.catalogue import CATEGORY_NAMES, STYLE_NAMES
from deploy.local.shop.simulation import Simulation, simulate
from shared.domain.content.content_tags import (
    MOST_TOKENS,
    TITLE_TAGS,
    content_tags,
    content_text,
    title_tokens,
)
from shared.domain.content.new_items import NewItems

NEIGHBOURS = 10


def test_tags_tell_category_brand_and_title_apart():
    category, brand, title = content_tags(["lamp"], "lamp", "lamp")
    assert (category, brand) == ("category lamp", "brand lamp")
    assert title.startswith("title ") and title not in (category, brand)


def test_words_are_the_same_whatever_their_case_form_and_marks_between_them():
    assert title_tokens("Café-LAMP, café") == title_tokens("cafe\u0301  lamp") == ["café", "lamp"]


def test_scripts_without_spaces_give_pairs_of_characters():
    assert title_tokens("木製テーブル desk") == ["木製", "製テ", "テー", "ーブ", "ブル", "desk"]


def test_the_text_of_an_item_holds_all_its_tags_are_made_of_whatever_the_case():
    assert content_text(["Lamps", "Sale"], "ACME", "Cafe\u0301 Lamp") == "café lamp acme lamps sale"
    assert content_text([], "", " ") == ""


@given(st.text(max_size=300), st.text(max_size=5), st.lists(st.text(max_size=5), max_size=3))
def test_titles_have_few_tags_of_a_fixed_number_and_none_twice(title, brand, categories):
    tags = content_tags(categories, brand, title)
    titles = [int(tag.split()[1]) for tag in tags if tag.startswith("title ")]
    assert len(titles) <= MOST_TOKENS and all(0 <= number < TITLE_TAGS for number in titles)
    assert len(set(tags)) == len(tags)


def neighbours(vectors: np.ndarray, table: np.ndarray) -> np.ndarray:
    """The nearest rows of the table by cosine, (N, NEIGHBOURS)."""
    lengths = np.linalg.norm(table, axis=1)
    return np.argsort(-(vectors @ table.T) / lengths, axis=1)[:, :NEIGHBOURS]


@pytest.fixture(scope="module")
def shop():
    """Tags by kind of each item of a shop, and its vectors: what was touched by the same shoppers is alike (singular
    vectors of positive pointwise mutual information, Levy & Goldberg 2014)."""
    catalogue, log = simulate(Simulation(events=12_000, shoppers=250, items=150, seed=4))
    touched = np.zeros((250, 150))
    for past in log:
        touched[int(past.shopper.user_id.removeprefix("shopper-")) - 1, past.behaviour.items[0]] = 1.0
    together = touched.T @ touched * (1.0 - np.eye(150)) + 1e-9
    expected = together.sum(0) * together.sum(1)[:, None] / together.sum()
    values, axes = np.linalg.eigh(np.maximum(np.log(together / expected), 0.0))
    vectors = (axes[:, -24:] * np.sqrt(np.maximum(values[-24:], 0.0))).astype(np.float32)
    kinds = [
        ([CATEGORY_NAMES[category], STYLE_NAMES[style]], title)
        for category, style, title in zip(catalogue.category, catalogue.style, catalogue.titles, strict=True)
    ]
    return vectors, kinds


def hit_rates(shop, with_categories: bool, with_title: bool) -> tuple[float, float]:
    """Of items that are left out of the table: the share of their true neighbours among those of the rows that content
    gives them, and among those of the rows of other items."""
    vectors, kinds = shop
    tags = [
        content_tags(names if with_categories else (), "", title if with_title else "")
        for names, title in kinds
    ]
    order = np.random.default_rng(0).permutation(150)
    table, left_out = order[30:], order[:30]
    known = NewItems(table.astype(np.uint64), vectors[table], np.zeros(120, np.float32))
    for item in (*table, *left_out):
        known.describe(int(item), tags[item])
    keys, rows, _ = known.take(150)
    assert keys.tolist() == left_out.tolist()
    true = neighbours(vectors[left_out], vectors[table])
    found = [neighbours(each, vectors[table]) for each in (rows, np.roll(rows, 1, axis=0))]
    shares = [
        np.mean([len(set(a) & set(b)) for a, b in zip(true, each, strict=True)]) / NEIGHBOURS
        for each in found
    ]
    return float(shares[0]), float(shares[1])


@pytest.mark.parametrize("with_categories, with_title", [(True, False), (False, True), (True, True)])
def test_items_nobody_has_touched_find_their_neighbours_by_content(shop, with_categories, with_title):
    by_content, by_chance = hit_rates(shop, with_categories, with_title)
    assert by_content > 5 * max(by_chance, NEIGHBOURS / 120)


def test_a_title_beside_categories_does_no_harm(shop):
    assert hit_rates(shop, True, True)[0] > hit_rates(shop, True, False)[0] - 0.03
