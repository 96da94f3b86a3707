"""Rows that steps do not touch end where AdamW over the whole table would have taken them."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from services.trainer.model.fitting import loop
from services.trainer.model.fitting.competition import Sample
from services.trainer.model.fitting.objective import ItemTable
from services.trainer.model.fitting.sparse_adamw import BETAS, AtHand, SparseAdamW
from services.trainer.model.fitting.training import train
from services.trainer.model.sequences import TokenBatch
from tests.unit.trainer.builders import PLAN, walks

ITEMS, WIDTH, RATE, DECAY = 40, 3, 1e-3, 0.01


def table(seed: int = 0) -> ItemTable:
    generator = np.random.default_rng(seed)
    return ItemTable(generator.standard_normal((ITEMS, WIDTH)), generator.standard_normal(ITEMS))


def batch(items: np.ndarray) -> TokenBatch:
    """Of one window, whose last event was followed by the first item and whose first event is none."""
    shape = items.shape
    target = np.where(np.arange(shape[1]) == shape[1] - 1, items[:, :1], -1)
    zeros, whole = np.zeros(shape, np.float32), np.ones(shape, bool)
    first = np.full(len(items), -1)
    return TokenBatch(items, np.ones(shape, np.int64), zeros, whole, target, zeros, first, zeros[:, 0])


def sample(items: list[int]) -> Sample:
    return Sample(torch.tensor(items), torch.zeros(len(items)))


def at_hand(sparse: SparseAdamW, rows: np.ndarray) -> AtHand:
    return sparse.at_hand(batch(rows[None]), sample(rows[:1].tolist()))


class Steps:
    """Gradients of some steps, each of a few rows: a row's own direction, and noise."""

    def __init__(self, number: int, rare: bool = False) -> None:
        generator = np.random.default_rng(number)
        self.direction = torch.from_numpy(generator.standard_normal((ITEMS, WIDTH + 1)).astype(np.float32))
        popular = np.arange(ITEMS) < (4 if rare else ITEMS)
        met = (np.flatnonzero(popular & (generator.random(ITEMS) < 0.3)) for _ in range(number))
        self.touched = [np.union1d(rows, [0]) for rows in met]
        if rare:  # the last row is met once
            self.touched[number // 2] = np.array([0, ITEMS - 1])
        self.noise = [generator.standard_normal((ITEMS, WIDTH + 1)) for _ in range(number)]

    def gradient(self, step: int) -> torch.Tensor:
        return self.direction + torch.from_numpy(self.noise[step].astype(np.float32))

    def dense(self) -> ItemTable:
        """What AdamW makes of it."""
        whole = table()
        groups = [
            {"params": [whole.vectors], "weight_decay": DECAY},
            {"params": [whole.biases], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=RATE, betas=BETAS)
        for step, rows in enumerate(self.touched):
            gradient = torch.zeros(ITEMS, WIDTH + 1)
            gradient[rows] = self.gradient(step)[rows]
            whole.vectors.grad, whole.biases.grad = gradient[:, :-1].clone(), gradient[:, -1].clone()
            optimizer.step()
        return whole

    def sparse(self, reads: frozenset[int] = frozenset()) -> ItemTable:
        """What the sparse one makes of it. reads: steps before which all rows are brought up to date."""
        whole = table()
        optimizer = SparseAdamW(whole, DECAY)
        for step in range(len(self.touched)):
            if step in reads:
                optimizer.catch_up()
            self.learn(optimizer, step)
        optimizer.catch_up()
        return whole

    def learn(self, optimizer: SparseAdamW, step: int) -> None:
        rows = self.touched[step]
        hand = at_hand(optimizer, rows)
        gradient = self.gradient(step)[rows]
        hand.table.vectors.grad, hand.table.biases.grad = gradient[:, :-1].clone(), gradient[:, -1].clone()
        optimizer.step(hand, RATE)


def moved(whole: ItemTable) -> torch.Tensor:
    both = [(now - then).detach() for now, then in zip(whole.parameters(), table().parameters(), strict=True)]
    return torch.cat([both[0], both[1][:, None]], dim=1)


@pytest.mark.parametrize("rare", [False, True])
def test_rows_go_where_adamw_over_the_whole_table_takes_them(rare):
    steps = Steps(1_000, rare)
    dense, sparse = moved(steps.dense()), moved(steps.sparse())
    torch.testing.assert_close(sparse, dense, rtol=1e-3, atol=RATE / 10)


def test_a_row_that_is_met_once_coasts_as_far_as_adamw_lets_it():
    steps = Steps(1_000, rare=True)
    dense, sparse = moved(steps.dense())[-1], moved(steps.sparse())[-1]
    assert dense[-1].abs() > 6 * RATE  # of the bias, which does not decay
    torch.testing.assert_close(sparse, dense, rtol=1e-3, atol=RATE / 10)


@settings(max_examples=20)
@given(st.frozensets(st.integers(0, 59), max_size=20))
def test_reading_changes_nothing(reads):
    steps = Steps(60)
    torch.testing.assert_close(moved(steps.sparse(reads)), moved(steps.sparse()), rtol=1e-3, atol=1e-6)


def test_what_was_saved_goes_on_bit_by_bit():
    steps, whole, other = Steps(40), table(), table()
    first, second = SparseAdamW(whole, DECAY), SparseAdamW(other, DECAY)
    for step in range(20):
        steps.learn(first, step)
    other.load_state_dict(whole.state_dict())
    second.restore(deepcopy(first.state()))
    for step in range(20, 40):
        steps.learn(first, step)
    for step in range(20, 40):
        steps.learn(second, step)
    assert torch.equal(whole.vectors, other.vectors) and torch.equal(whole.biases, other.biases)


def test_batch_sample_and_table_at_hand_speak_of_the_same_rows():
    whole = table()
    items, drawn = np.array([[30, 7, 7]]), [7, 12]
    hand = SparseAdamW(whole, DECAY).at_hand(batch(items), sample(drawn))
    assert hand.rows.tolist() == [7, 12, 30]
    assert torch.equal(hand.table(torch.from_numpy(hand.batch.item)), whole(torch.from_numpy(items)))
    assert torch.equal(hand.table(hand.sample.item), whole(torch.tensor(drawn)))
    assert hand.batch.target.tolist() == [[-1, -1, 2]]
    assert hand.batch.first_item.tolist() == [-1]


@pytest.mark.parametrize("loss", ["softmax", "gbce"])
def test_a_large_catalogue_is_learned_as_a_small_one_is(monkeypatch, loss):
    plan = replace(PLAN, epochs=10, exact_up_to=1, n_negatives=16, loss=loss)
    dense = train(walks(n_users=60), plan)
    monkeypatch.setattr(loop, "SPARSE_FROM", 0)
    sparse = train(walks(n_users=60), plan)
    assert [each.loss for each in sparse.curve] == pytest.approx(
        [each.loss for each in dense.curve], rel=0.01
    )
    np.testing.assert_allclose(sparse.item_vectors, dense.item_vectors, atol=0.02)
