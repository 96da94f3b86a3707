"""How shoppers behave, whatever the seed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.shop.catalogue import make_catalogue
from deploy.local.shop.shopper import (
    category_page,
    click_probabilities,
    drift,
    is_control,
    make_shoppers,
    random_page,
    react,
)

CATALOGUE = make_catalogue(1, 200)
MUST_FOLLOW = {
    "click": "view-item-list",
    "view-item": "click",
    "add-to-cart": "view-item",
    "purchase": "add-to-cart",
}
seeds = st.integers(0, 2**32)
pages = st.lists(st.integers(0, len(CATALOGUE) - 1), min_size=1, max_size=30, unique=True)


def shopper(seed: int):
    """One shopper."""
    return make_shoppers(seed, 1)[0]


@given(seeds, pages)
def test_the_same_seed_behaves_the_same(seed, page):
    assert react(shopper(seed), CATALOGUE, page) == react(shopper(seed), CATALOGUE, page)


@given(seeds, pages)
def test_a_visit_starts_with_the_whole_list_at_its_positions(seed, page):
    seen = react(shopper(seed), CATALOGUE, page)[0]
    assert (seen.event_type, list(seen.items)) == ("view-item-list", page)
    assert seen.positions == tuple(range(1, len(page) + 1))


@given(seeds, pages)
def test_a_step_of_the_funnel_follows_the_step_before_it(seed, page):
    behaviours = react(shopper(seed), CATALOGUE, page)
    for index, behaviour in enumerate(behaviours):
        needed = MUST_FOLLOW.get(behaviour.event_type)
        earlier = {(each.event_type, item) for each in behaviours[:index] for item in each.items}
        assert needed is None or (needed, behaviour.items[0]) in earlier


@given(seeds, pages)
def test_click_probabilities_are_probabilities(seed, page):
    probabilities = click_probabilities(shopper(seed), CATALOGUE, page)
    assert probabilities.shape == (len(page),)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


@given(seeds, st.integers(0, len(CATALOGUE) - 1))
def test_the_same_item_is_clicked_less_further_down(seed, item):
    probabilities = click_probabilities(shopper(seed), CATALOGUE, [item] * 10)
    assert (np.diff(probabilities) < 0).all()


@given(seeds, st.integers(0, len(CATALOGUE) - 1))
def test_what_was_bought_is_not_clicked_again_and_what_was_clicked_less(seed, item):
    someone = shopper(seed)
    fresh = click_probabilities(someone, CATALOGUE, [item])[0]
    someone.clicked.append(item)
    assert click_probabilities(someone, CATALOGUE, [item])[0] < fresh
    someone.bought.add(item)
    assert click_probabilities(someone, CATALOGUE, [item])[0] == 0


@given(seeds)
def test_pages_hold_distinct_items_and_a_category_page_one_category(seed):
    page, other = category_page(shopper(seed), CATALOGUE), random_page(shopper(seed), CATALOGUE)
    assert len(set(page)) == len(page)
    assert len(set(CATALOGUE.category[page])) == 1
    assert len(set(other)) == len(other) == 12


def test_a_category_without_items_is_never_visited():
    tiny = make_catalogue(1, 1)
    assert {item for each in make_shoppers(1, 50) for item in category_page(each, tiny)} == {0}


def test_tastes_drift_but_stay_as_strong_as_they_were():
    crowd = make_shoppers(1, 300)
    before = np.array([each.taste.category for each in crowd])
    for each in crowd:
        for _ in range(100):
            drift(each)
    after = np.array([each.taste.category for each in crowd])
    assert not np.allclose(before, after)
    assert 0.9 < after.std() / before.std() < 1.1


def test_lists_to_the_taste_are_clicked_more_than_random_ones():
    crowd = make_shoppers(1, 100)
    everything = np.arange(len(CATALOGUE))
    best = [np.argsort(-each.taste.affinity(CATALOGUE, everything))[:12].tolist() for each in crowd]
    chosen = np.mean([click_probabilities(e, CATALOGUE, page) for e, page in zip(crowd, best, strict=True)])
    random = np.mean([click_probabilities(each, CATALOGUE, random_page(each, CATALOGUE)) for each in crowd])
    assert chosen > 3 * random


def test_about_half_of_the_shoppers_are_the_control_group():
    assert 0.45 < np.mean([is_control(f"shopper-{number:04d}") for number in range(2_000)]) < 0.55
