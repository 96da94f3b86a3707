"""Answering: one scorer ranks the catalogue for every question, and the target's place is read off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from services.trainer.model.answering.scoring import Histories, Scorer
from services.trainer.model.sequences import occurs

_SCORES_AT_ONCE = 1 << 22
_MOST_AT_ONCE = 256
_NO_ITEM = -1


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """Questions: which item comes next?

    Attributes:
        user_keys: ``(U,) uint64``, who is asked. Hold-outs ask every user once, in ascending order.
        histories: what scorers are given, U rows.
        targets: ``(U,) uint64``, the item to be found.
        seen_items: ``(S,) uint64``, the items that are excluded, question after question.
        seen_offsets: ``(U + 1,) int64``; those of question u are
            ``seen_items[seen_offsets[u]:seen_offsets[u + 1]]``.
        catalogue: ``(C,) uint64``, sorted ascending: all items that occur before or in the held-out events.
    """

    user_keys: np.ndarray
    histories: Histories
    targets: np.ndarray
    seen_items: np.ndarray
    seen_offsets: np.ndarray
    catalogue: np.ndarray

    def __len__(self) -> int:
        return len(self.user_keys)


class Answers(NamedTuple):
    """What a scorer said to U questions.

    ranks: ``(U, 2) int64``, the first and the last rank that the target could have among the items that were not
        excluded, 1 is best; they differ where others have its score.
    top: ``(U, k) int64``, the k best, in no order, as indices of the catalogue; -1 marks an empty place.
    """

    ranks: np.ndarray
    top: np.ndarray


def answer(cases: Cases, scorer: Scorer, k: int) -> Answers:
    """The scorer's ranks and lists of k. An item it does not know counts as its worst.

    Raises:
        ValueError: the scorer gave NaN.
    """
    ranks = np.empty((len(cases), 2), np.int64)
    top = np.empty((len(cases), min(k, len(cases.catalogue))), np.int64)
    for part in parts_of(cases):
        scores = catalogue_scores(cases, scorer, part)
        ranks[part] = ranks_of(scores, np.searchsorted(cases.catalogue, cases.targets[part]))
        top[part] = _top(scores, top.shape[1])
    return Answers(ranks, top)


def parts_of(cases: Cases) -> list[slice]:
    """The questions in parts whose scores are few enough to be held at once."""
    step = min(max(_SCORES_AT_ONCE // max(len(cases.catalogue), 1), 1), _MOST_AT_ONCE)
    return [slice(start, min(start + step, len(cases))) for start in range(0, len(cases), step)]


def catalogue_scores(cases: Cases, scorer: Scorer, part: slice) -> np.ndarray:
    """``(B, C) float32`` for a part: -inf for items the scorer does not know, NaN for items that are excluded.

    Raises:
        ValueError: the scorer gave NaN.
    """
    known = scorer(cases.histories.take(part))
    if np.isnan(known).any():
        raise ValueError("a scorer gave NaN")
    scores = np.full((len(known), len(cases.catalogue)), -np.inf, np.float32)
    shared = occurs(scorer.item_keys, cases.catalogue)
    scores[:, np.searchsorted(cases.catalogue, scorer.item_keys[shared])] = known[:, shared]
    offsets = cases.seen_offsets[part.start : part.stop + 1]
    row = np.repeat(np.arange(len(known)), np.diff(offsets))
    scores[row, np.searchsorted(cases.catalogue, cases.seen_items[offsets[0] : offsets[-1]])] = np.nan
    return scores


def ranks_of(scores: np.ndarray, target: np.ndarray) -> np.ndarray:
    """``(B, 2) int64``: the first and the last rank of those that are equal; last among the candidates, and that for
    sure, for a target at -inf.

    Args:
        scores: ``(B, C) float32``, NaN for items that are excluded.
        target: ``(B,) int64``, columns.
    """
    own = scores[np.arange(len(scores)), target][:, None]
    better, equal = (scores > own).sum(axis=1), (scores == own).sum(axis=1)
    candidates = (~np.isnan(scores)).sum(axis=1)
    tie = np.stack([better + 1, better + equal], axis=1)
    return np.where(np.isneginf(own), candidates[:, None], tie)


def _top(scores: np.ndarray, k: int) -> np.ndarray:
    """``(B, k) int64``: indices of the best, in no order; -1 where fewer can be recommended."""
    usable = torch.from_numpy(np.nan_to_num(scores, nan=-np.inf, posinf=np.inf, neginf=-np.inf))
    best, place = torch.topk(usable, k, dim=1, sorted=False)
    return torch.where(torch.isneginf(best), _NO_ITEM, place).numpy()
