"""Fits the head: multi-task cross entropy on the older examples, stopped by the newer ones."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from services.trainer.model.behaviours.examples import Examples
from services.trainer.model.behaviours.head import BehaviourHead
from services.trainer.model.behaviours.inputs import Inputs


@dataclass(frozen=True, slots=True)
class HeadPlan:
    """How the head is fitted.

    Attributes:
        epochs: most passes.
        patience: passes without a better answer to the newer examples after which it ends.
        batch: examples of a step.
        learning_rate: of AdamW.
        weight_decay: of AdamW; strong, because examples of rare behaviours are few.
        stop_share: newest share of the examples that decides when to stop, in (0, 1).
        seed: of initialisation, order and dropout.
    """

    epochs: int = 40
    patience: int = 4
    batch: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    stop_share: float = 0.2
    seed: int = 0


def fit_head(inputs: Inputs, examples: Examples, plan: HeadPlan) -> BehaviourHead:
    """A head that has learned ``examples``, in evaluation mode, not calibrated: its log-odds are of the rows as they are.

    Every objective weighs the same, however rare: its loss is divided by the entropy of its base rate, so that a rare one
    is not drowned.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        head = BehaviourHead(inputs.item_vectors.shape[1], examples.labels.shape[1])
        return _fitted(head, inputs, examples, plan)


def _fitted(head: BehaviourHead, inputs: Inputs, examples: Examples, plan: HeadPlan) -> BehaviourHead:
    generator = np.random.default_rng(plan.seed)
    learn = np.arange(round(len(inputs) * (1.0 - plan.stop_share)))
    stop = np.arange(len(learn), len(inputs))
    scale = _task_weights(examples)
    _standardise(head, inputs, learn)
    optimizer = torch.optim.AdamW(head.parameters(), plan.learning_rate, weight_decay=plan.weight_decay)
    best, best_loss, since = copy.deepcopy(head.state_dict()), _loss_of(head, inputs, examples, stop, scale), 0
    for _ in range(plan.epochs):
        head.train()
        order = generator.permutation(learn)
        for start in range(0, len(order), plan.batch):
            optimizer.zero_grad()
            loss = _loss(head, inputs, examples, order[start : start + plan.batch], scale)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        found = _loss_of(head, inputs, examples, stop, scale)
        since += 1
        if found < best_loss:
            best, best_loss, since = copy.deepcopy(head.state_dict()), found, 0
        if since >= plan.patience:
            break
    head.load_state_dict(best)
    return head.eval()


def _task_weights(examples: Examples) -> torch.Tensor:
    """``(O,) float32``: one over the loss of the base rate, times the rows that are asked."""
    asked = np.maximum(examples.asked.sum(axis=0), 1)
    rate = np.clip((examples.labels & examples.asked).sum(axis=0) / asked, 1e-6, 1 - 1e-6)
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    return torch.from_numpy((len(examples) / (asked * entropy)).astype(np.float32))


def _standardise(head: BehaviourHead, inputs: Inputs, rows: np.ndarray) -> None:
    """Centres and scales the features by those of the rows, and starts at the base rates."""
    with torch.no_grad():
        features = head.features(*map(torch.from_numpy, inputs.rows(rows)))[:, 0]
        head.mean.copy_(features.mean(dim=0))
        head.scale.copy_(features.std(dim=0, correction=0).clamp_min(1e-3))


def _loss(
    head: BehaviourHead, inputs: Inputs, examples: Examples, rows: np.ndarray, scale: torch.Tensor
) -> torch.Tensor:
    features = head.features(*map(torch.from_numpy, inputs.rows(rows)))
    log_odds = head.log_odds(features)[:, 0]
    labels = torch.from_numpy(examples.labels[rows].astype(np.float32))
    asked = torch.from_numpy(examples.asked[rows].astype(np.float32))
    losses = nn.functional.binary_cross_entropy_with_logits(log_odds, labels, reduction="none")
    return (losses * asked * scale).sum() / len(rows)


def _loss_of(
    head: BehaviourHead, inputs: Inputs, examples: Examples, rows: np.ndarray, scale: torch.Tensor
) -> float:
    head.eval()
    with torch.no_grad():
        return float(_loss(head, inputs, examples, rows, scale))


def log_odds_of(head: BehaviourHead, inputs: Inputs) -> np.ndarray:
    """``(N, O) float64``, before calibration."""
    with torch.no_grad():
        parts = [
            head.log_odds(head.features(*map(torch.from_numpy, inputs.rows(rows))))[:, 0].numpy()
            for rows in np.array_split(np.arange(len(inputs)), max(1, len(inputs) // 8192))
        ]
    return np.concatenate(parts).astype(np.float64)
