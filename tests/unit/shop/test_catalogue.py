"""The shop's catalogue."""

import numpy as np
import pytest

from deploy.local.shop.catalogue import make_catalogue, possible_titles


def test_the_same_seed_makes_the_same_catalogue():
    first, second = make_catalogue(7, 100), make_catalogue(7, 100)
    assert first.titles == second.titles
    assert np.array_equal(first.price, second.price)


def test_another_seed_makes_another_catalogue():
    assert make_catalogue(7, 100).titles != make_catalogue(8, 100).titles


def test_no_title_and_no_id_is_given_twice():
    catalogue = make_catalogue(1)
    assert len(set(catalogue.titles)) == len(set(catalogue.item_ids)) == len(catalogue) == 1_000


def test_popularity_is_a_share_and_prices_are_not_negative():
    catalogue = make_catalogue(1)
    assert catalogue.popularity.sum() == pytest.approx(1.0)
    assert catalogue.popularity.min() > 0
    assert catalogue.price.min() >= 0


def test_items_are_found_by_their_ids_and_foreign_ones_left_out():
    catalogue = make_catalogue(1, 20)
    assert catalogue.numbers_of(catalogue.item_ids) == list(range(20))
    assert catalogue.numbers_of(["other", "sku-00002", "sku-00021", "sku-1"]) == [1]


def test_more_items_than_words_allow_are_refused():
    with pytest.raises(ValueError, match="size must be 1 to"):
        make_catalogue(1, len(possible_titles()) + 1)
