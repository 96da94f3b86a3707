"""Who was champion, why, and to whom a rollback returns: a fold of the decisions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Cause(StrEnum):
    """What made a model champion."""

    TRAINING = "training"
    REQUEST = "request"
    ROLLBACK = "rollback"
    AUTOMATIC_ROLLBACK = "automatic rollback"


ROLLBACKS = frozenset({Cause.ROLLBACK, Cause.AUTOMATIC_ROLLBACK})


@dataclass(frozen=True)
class Promotion:
    """One decision: `model_version` became champion.

    reason: a sentence. displaced: the champion before; empty when there was none. request_id: of the call that asked
    for it; empty for none.
    """

    model_version: str
    cause: Cause
    reason: str
    displaced: str
    promote_time: datetime
    request_id: str = ""


def rolled_back(history: Iterable[Promotion]) -> frozenset[str]:
    """Models that were rolled back and have not been promoted since. history: the oldest first."""
    found: set[str] = set()
    for each in history:
        if each.cause in ROLLBACKS:
            found.add(each.displaced)
        found.discard(each.model_version)
    return frozenset(found)


def predecessors(history: Sequence[Promotion]) -> list[str]:
    """The champions before the present one to whom a rollback may return, the newest reign first, each once.

    A rollback takes a reign back, and all that lay between it and the reign it returns to: so the one before that is
    next. What was rolled back is passed over, also where it reigned earlier, until it is promoted anew. history: the
    oldest first.
    """
    reigns: list[str] = []
    for each in history:
        if each.cause in ROLLBACKS:
            while reigns and reigns[-1] != each.model_version:
                reigns.pop()
        if not reigns or reigns[-1] != each.model_version:
            reigns.append(each.model_version)
    if not reigns:
        return []
    passed_over = rolled_back(history) | {reigns[-1]}
    return [version for version in dict.fromkeys(reversed(reigns)) if version not in passed_over]
