"""What one process hands to another arrives as it was, and its arrays are memory that both see."""

from __future__ import annotations

import os

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from services.ranking.model import handover
from services.ranking.model.scorer import Scorer
from tests.unit.ranking.model import NOW_MS, sum_bundle, with_ranker

ARRAYS = arrays_of.arrays(
    st.sampled_from([np.float32, np.uint64, np.int32, np.bool_]),
    arrays_of.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5),
)


def handed_over(value):
    with handover.shared_file() as file:
        return handover.read(file, handover.write(file, value)).value


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=5), ARRAYS, max_size=6))
def test_whatever_is_handed_over_arrives_as_it_was(value):
    arrived = handed_over(value)
    assert arrived.keys() == value.keys()
    for name, array in value.items():
        np.testing.assert_array_equal(arrived[name], array)
        assert (arrived[name].dtype, arrived[name].shape) == (array.dtype, array.shape)


def test_arrays_arrive_in_memory_that_can_be_written_and_outlives_the_file():
    arrived = handed_over({"counts": np.zeros(3, np.float32)})["counts"]
    arrived[1] = 7
    assert arrived.tolist() == [0, 7, 0]


def test_of_two_that_write_into_one_file_both_see_what_the_other_wrote():
    with handover.shared_file() as file:
        sizes = handover.write(file, np.zeros(3, np.float32))
        mine, yours = (handover.read(file, sizes).value for _ in range(2))
    mine[2] = 5
    assert yours.tolist() == [0, 0, 5]


def test_a_scorer_that_was_handed_over_scores_as_it_did():
    made = Scorer(with_ranker(sum_bundle()))
    arrived = handed_over(made)
    rows = np.array([[-1, 2, 1]])
    columns = np.where(rows >= 0, 1, 0), np.full(rows.shape, NOW_MS, np.float32)
    for scorer in (made, arrived):
        scorer.warm_up()
    np.testing.assert_array_equal(
        arrived.scores(arrived.user_vectors(rows, *columns)), made.scores(made.user_vectors(rows, *columns))
    )
    assert (arrived.version, arrived.ranker.objectives) == (made.version, made.ranker.objectives)


def test_a_table_that_was_handed_over_takes_rows_in_place():
    arrived = handed_over(Scorer(sum_bundle()))
    vector = np.full((1, 4), 2, np.float32)
    table = arrived._table.with_rows(arrived.item_keys[:1], vector, np.zeros(1, np.float32))
    assert table is arrived._table
    assert arrived.scores(vector)[0, 0] == 16.0


async def test_memory_that_nobody_needs_goes_back_to_the_system():
    with handover.shared_file() as file:
        memory = handover.read(file, handover.write(file, np.zeros(2**20, np.float32))).memory
        await handover.give_back(memory)
        assert memory.closed
        assert os.fstat(file.fileno()).st_blocks < 2**20 * 4 / 512


async def test_memory_in_which_an_array_still_lies_is_left_as_it_is():
    with handover.shared_file() as file:
        kept, memory = handover.read(file, handover.write(file, np.ones(2**20, np.float32)))
    await handover.give_back(memory)
    assert kept.all()
