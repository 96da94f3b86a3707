"""Fits the head: its linear way exactly, then what the shared bottom can correct, for as long as that helps."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from services.trainer.model.behaviours.examples import Examples
from services.trainer.model.behaviours.head import WIDE, BehaviourHead
from services.trainer.model.behaviours.inputs import Inputs
from services.trainer.model.behaviours.logistic import logistic_regression

_PART = 8192


@dataclass(frozen=True, slots=True)
class HeadPlan:
    """How the head is fitted.

    Attributes:
        epochs: most passes.
        patience: passes without a better answer to the newest examples after which it ends.
        batch: examples of a step.
        learning_rate: of AdamW (Loshchilov & Hutter 2019).
        weight_decay: of AdamW; strong, because examples of rare behaviours are few.
        ridge: of the linear way.
        stop_share: newest share of the examples that decides when to stop, in (0, 1).
        seed: of initialisation, order and dropout.
    """

    epochs: int = 30
    patience: int = 3
    batch: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    ridge: float = 1.0
    stop_share: float = 0.2
    seed: int = 0


def fit_head(inputs: Inputs, examples: Examples, plan: HeadPlan) -> BehaviourHead:
    """A head that has learned ``examples``, in evaluation mode, not calibrated: its log-odds are of the rows as is.

    Args:
        inputs: of the examples.
        examples: in log order; every objective has labels of both kinds.
        plan: how.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        head = BehaviourHead(inputs.item_vectors.shape[1], examples.labels.shape[1])
        _standardise(head, inputs)
        _fit_wide(head, inputs, examples, plan)
        return _Bottom(head, inputs, examples, plan).fitted()


def log_odds_of(head: BehaviourHead, inputs: Inputs) -> np.ndarray:
    """``(N, O) float64``, before calibration."""
    parts = np.array_split(np.arange(len(inputs)), len(inputs) // _PART + 1)
    with torch.no_grad():
        found = [head.eval().log_odds(_features(head, inputs, rows)).numpy() for rows in parts]
    return np.concatenate(found)[:, 0].astype(np.float64)


def _features(head: BehaviourHead, inputs: Inputs, rows: np.ndarray) -> Tensor:
    """``(n, 1, F)``."""
    return head.features(*map(torch.from_numpy, inputs.rows(rows)))


def _standardise(head: BehaviourHead, inputs: Inputs) -> None:
    """Centres and scales the features by those of the examples; of many, every so manyth speaks for all."""
    rows = np.arange(0, len(inputs), max(1, len(inputs) // (4 * _PART)))
    with torch.no_grad():
        features = _features(head, inputs, rows)[:, 0]
        head.mean.copy_(features.mean(dim=0))
        head.scale.copy_(features.std(dim=0, correction=0).clamp_min(1e-3))


def _fit_wide(head: BehaviourHead, inputs: Inputs, examples: Examples, plan: HeadPlan) -> None:
    with torch.no_grad():
        every = np.arange(len(inputs))
        wide = np.concatenate(
            [
                _features(head, inputs, rows)[:, 0, -WIDE:].numpy()
                for rows in np.array_split(every, len(inputs) // _PART + 1)
            ]
        )
        for number in range(examples.labels.shape[1]):
            labels, asked = examples.labels[:, number].astype(float), examples.asked[:, number].astype(float)
            found = torch.from_numpy(logistic_regression(wide, labels, asked, plan.ridge).astype(np.float32))
            head.wide.weight[number], head.wide.bias[number] = found[:-1], found[-1]


class _Bottom:
    """Multi-task cross entropy on the older examples, stopped by the newest ones.

    Every objective weighs the same, however rare: its loss is divided by that of its base rate.
    """

    def __init__(self, head: BehaviourHead, inputs: Inputs, examples: Examples, plan: HeadPlan) -> None:
        self._head, self._inputs, self._examples, self._plan = head, inputs, examples, plan
        learned = round(len(inputs) * (1.0 - plan.stop_share))
        self._learn, self._stop = np.arange(learned), np.arange(learned, len(inputs))
        self._share = _shares(examples)

    def fitted(self) -> BehaviourHead:
        head, plan = self._head, self._plan
        parameters = [*head.hidden.parameters(), *head.out.parameters()]
        optimizer = torch.optim.AdamW(parameters, plan.learning_rate, weight_decay=plan.weight_decay)
        generator = np.random.default_rng(plan.seed)
        best, best_loss, since = copy.deepcopy(head.state_dict()), self._stop_loss(), 0
        for _ in range(plan.epochs):
            self._pass(optimizer, generator)
            loss, since = self._stop_loss(), since + 1
            if loss < best_loss:
                best, best_loss, since = copy.deepcopy(head.state_dict()), loss, 0
            if since >= plan.patience:
                break
        head.load_state_dict(best)
        return head.eval()

    def _pass(self, optimizer: torch.optim.Optimizer, generator: np.random.Generator) -> None:
        self._head.train()
        order = generator.permutation(self._learn)
        for start in range(0, len(order), self._plan.batch):
            optimizer.zero_grad()
            self._loss(order[start : start + self._plan.batch]).backward()
            optimizer.step()

    def _stop_loss(self) -> float:
        """Of the newest examples."""
        self._head.eval()
        parts = np.array_split(self._stop, len(self._stop) // _PART + 1)
        with torch.no_grad():
            return sum(float(self._loss(rows)) * len(rows) for rows in parts) / max(len(self._stop), 1)

    def _loss(self, rows: np.ndarray) -> Tensor:
        log_odds = self._head.log_odds(_features(self._head, self._inputs, rows))[:, 0]
        labels = torch.from_numpy(self._examples.labels[rows].astype(np.float32))
        asked = torch.from_numpy(self._examples.asked[rows].astype(np.float32))
        losses = nn.functional.binary_cross_entropy_with_logits(log_odds, labels, reduction="none")
        return (losses * asked * self._share).sum() / len(rows)


def _shares(examples: Examples) -> Tensor:
    """``(O,) float32``: one over the base rate's loss, times N over the rows that are asked."""
    asked = examples.asked.sum(axis=0)
    rate = (examples.labels & examples.asked).sum(axis=0) / asked
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))
    return torch.from_numpy((len(examples) / (asked * entropy)).astype(np.float32))
