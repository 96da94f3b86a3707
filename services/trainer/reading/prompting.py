"""Which events a recommendation may have prompted: they say what the model that recommended had made of its users.

Decision: models are not compared by such events while there are others. A champion stands high in what it has shown
itself, whatever else its users would have liked: judged by that, no later model would ever displace it (feedback loop;
Chaney, Stewart & Engelhardt 2018, https://arxiv.org/abs/1710.11214).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from shared.domain.events.event_columns import EventColumns

WINDOW_SECONDS = 86_400.0
"""How long after an answer an event on one of its items may have come of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """What was served. exposed: as impressions, in log order. known_from: the position from which on all of it is
    there; what was served before that is not known."""

    exposed: EventColumns = field(default_factory=EventColumns.empty)
    known_from: int = 0


NOTHING_SERVED = Served()
_POSITION_BITS = 36
"""Of a place: 68 billion events, and 134 million pairs above them."""


def prompted(columns: EventColumns, served: Served) -> np.ndarray:
    """``(N,) bool``: whether the row's item was in an answer to its user at most `WINDOW_SECONDS` before, or may have
    been, as nothing is known of that time.

    Args:
        columns: rows in log order.
        served: as far as it is known.
    """
    unknown = columns.position < served.known_from
    if not len(columns) or not len(served.exposed):
        return unknown
    asked, shown = _places(columns, served.exposed)
    order = np.argsort(shown, kind="stable")
    shown, shown_ms = shown[order], served.exposed.time_ms[order]
    last = np.searchsorted(shown, asked, side="right") - 1
    same = (last >= 0) & (shown[last] >> _POSITION_BITS == asked >> _POSITION_BITS)
    return unknown | same & (np.abs(columns.time_ms - shown_ms[last]) <= WINDOW_SECONDS * 1000)


def _places(columns: EventColumns, exposed: EventColumns) -> tuple[np.ndarray, np.ndarray]:
    """``(N,)`` and ``(E,) int64``: numbers of pairs of user and item, and below them where in the log."""
    users, items = (
        np.append(columns.user_key, exposed.user_key),
        np.append(columns.item_key, exposed.item_key),
    )
    places = _pairs(users, items) << _POSITION_BITS | np.append(columns.position, exposed.position)
    return places[: len(columns)], places[len(columns) :]


def _pairs(users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """``(M,) int64``: the number of each pair."""
    user = np.unique(users, return_inverse=True)[1]
    known, item = np.unique(items, return_inverse=True)
    return np.unique(user * len(known) + item, return_inverse=True)[1]
