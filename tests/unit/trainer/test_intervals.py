"""Intervals over users."""

import numpy as np
import pytest

from services.trainer.model.protocols.intervals import Estimate, UserBootstrap

GENERATOR = np.random.default_rng(0)


def test_one_question_per_user_is_the_ordinary_bootstrap():
    values = GENERATOR.normal(0.3, 1.0, 2000)
    (found,) = UserBootstrap(np.arange(2000)).means(values[:, None])
    half = 1.96 * values.std() / np.sqrt(2000)
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=0.1 * half)


def test_many_questions_to_one_user_are_one_witness():
    values = GENERATOR.normal(0.0, 1.0, 50)
    users = np.repeat(np.arange(50), 40)
    (once,) = UserBootstrap(np.arange(50)).means(values[:, None])
    (often,) = UserBootstrap(users).means(np.repeat(values, 40)[:, None])
    assert (often.value, often.low, often.high) == pytest.approx((once.value, once.low, once.high))


def test_equal_seeds_give_equal_intervals():
    values = GENERATOR.random((30, 2))
    assert UserBootstrap(np.arange(30), seed=1).means(values) == UserBootstrap(np.arange(30), seed=1).means(
        values
    )


def test_only_what_is_counted_counts():
    values = np.array([[1.0], [0.0], [0.5]])
    counted = np.array([True, False, True])
    (found,) = UserBootstrap(np.array([1, 1, 2])).means(values, counted)
    assert found == Estimate(0.75, 0.5, 1.0)


def test_a_segment_without_questions_is_all_zero():
    (found,) = UserBootstrap(np.array([1])).means(np.ones((1, 1)), np.array([False]))
    assert found == Estimate(0.0, 0.0, 0.0)


def test_coverage_is_the_share_of_the_catalogue_and_lies_in_its_interval():
    top = GENERATOR.integers(0, 60, (40, 5))
    found = UserBootstrap(np.arange(40)).coverage(top, 100)
    assert found.value == len(np.unique(top)) / 100
    assert 0.0 < found.low < found.value < found.high < 1.0


def test_lists_that_are_all_alike_cover_for_certain():
    top = np.tile([0, 1, -1], (20, 1))
    assert UserBootstrap(np.arange(20)).coverage(top, 4) == Estimate(0.5, 0.5, 0.5)
