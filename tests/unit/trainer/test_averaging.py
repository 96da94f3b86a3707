"""Averaged weights follow the trained ones, slowly, and the best of them can be had back."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from services.trainer.model.fitting.averaging import AveragedWeights

VALUES = st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=60)


def averaged(values: list[float]) -> tuple[nn.Parameter, AveragedWeights]:
    """A weight that began at the first value and took the others, step by step."""
    weight = nn.Parameter(torch.tensor([values[0]]))
    average = AveragedWeights([weight])
    for value in values[1:]:
        with torch.no_grad():
            weight.fill_(value)
        average.step()
    return weight, average


@given(VALUES)
def test_an_average_lies_within_what_was_averaged(values):
    weight, average = averaged(values)
    with average.applied():
        assert min(values) - 1e-4 <= weight.item() <= max(values) + 1e-4


@given(VALUES)
def test_applied_averages_are_taken_back(values):
    weight, average = averaged(values)
    with average.applied():
        pass
    assert weight.item() == np.float32(values[-1])


def test_early_steps_are_forgotten():
    weight, average = averaged([100.0] * 10 + [1.0] * 300)
    with average.applied():
        assert abs(weight.item() - 1.0) < 0.01


def test_the_kept_average_is_what_is_taken():
    weight, average = averaged([0.0, 4.0])
    with average.applied():
        kept = weight.item()
    average.keep()
    with torch.no_grad():
        weight.fill_(9.0)
    average.step()
    average.take_best()
    assert weight.item() == kept


@given(VALUES)
def test_where_no_average_was_kept_the_weights_of_the_beginning_are_taken(values):
    weight, average = averaged(values)
    average.take_best()
    assert weight.item() == np.float32(values[0])


@given(st.lists(st.tuples(st.sets(st.integers(0, 2)), st.floats(-10, 10, width=32)), max_size=60))
def test_rows_of_a_table_are_averaged_as_if_every_step_went_through_all(steps):
    whole, table, other = (nn.Parameter(torch.zeros(3, 2)) for _ in range(3))
    average, of_rows = AveragedWeights([whole]), AveragedWeights([other], [table])
    for rows, value in steps:
        changed = torch.tensor(sorted(rows), dtype=torch.int64)
        of_rows.changes(changed)
        with torch.no_grad():
            whole[changed], table[changed] = value, value
        average.step()
        of_rows.step()
    with average.applied(), of_rows.applied():
        torch.testing.assert_close(table, whole, rtol=1e-4, atol=1e-4)
