"""Questions of one kind: where recommenders differ most."""

from __future__ import annotations

import numpy as np

FEW_EVENTS = 5
NEW_USERS, NEW_ITEMS, LONG_HISTORIES = "new users", "new items", "long histories"
MEANING = {
    NEW_USERS: f"users with fewer than {FEW_EVENTS} events before the question",
    NEW_ITEMS: f"items with fewer than {FEW_EVENTS} events before the question",
    LONG_HISTORIES: "users whose history fills what a model is shown",
}


def segments_of(history_lengths: np.ndarray, item_ages: np.ndarray, full: int) -> dict[str, np.ndarray]:
    """Which questions belong to which segment; a question may belong to several, or to none.

    Args:
        history_lengths: ``(Q,) int64``, events of the user before the question.
        item_ages: ``(Q,) int64``, target events of the asked item before the question.
        full: how many events a model is shown.

    Returns:
        ``(Q,) bool`` by segment.
    """
    return {
        NEW_USERS: history_lengths < FEW_EVENTS,
        NEW_ITEMS: item_ages < FEW_EVENTS,
        LONG_HISTORIES: history_lengths >= full,
    }
