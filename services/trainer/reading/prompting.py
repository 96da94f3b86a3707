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
_WINDOW_MS = int(1000 * WINDOW_SECONDS)


def prompted(columns: EventColumns, served: Served) -> np.ndarray:
    """``(N,) bool``: whether the row's item was in an answer to its user at most `WINDOW_SECONDS` before, or may have
    been, as nothing is known of that time.

    Decision: of all answers within the window the first one is looked at: if the event was in the log by then, it was
    before the others, too. The last one before an event that was sent late may be one that came long after it.

    Args:
        columns: rows in log order.
        served: as far as it is known.
    """
    unknown, exposed = columns.position < served.known_from, served.exposed
    if not len(columns) or not len(exposed):
        return unknown
    asked, shown = _places(columns, exposed)
    order = np.argsort(shown, kind="stable")
    first = np.searchsorted(shown[order], asked)
    at = order[np.minimum(first, len(order) - 1)]
    same = (first < len(order)) & (columns.user_key == exposed.user_key[at])
    same &= columns.item_key == exposed.item_key[at]
    soon = exposed.time_ms[at] <= columns.time_ms + _WINDOW_MS
    return unknown | same & soon & (exposed.position[at] <= columns.position)


def of_their_own(columns: EventColumns, served: Served) -> np.ndarray:
    """``(N,) bool``: what users are not known to have done because it was recommended, all of it where nothing is known
    of what was. Arguments as those of `prompted`."""
    return ~prompted(columns, served) | (columns.position < served.known_from)


def _places(columns: EventColumns, exposed: EventColumns) -> tuple[np.ndarray, np.ndarray]:
    """``(N,)`` and ``(E,) int64``: where the windows of events begin, and where what was shown lies, by pair of user
    and item, then by time."""
    users, items = (
        np.append(columns.user_key, exposed.user_key),
        np.append(columns.item_key, exposed.item_key),
    )
    times = np.unique(exposed.time_ms)
    begins = np.append(columns.time_ms - _WINDOW_MS, exposed.time_ms)
    places = _pairs(users, items) * (len(times) + 1) + np.searchsorted(times, begins)
    return places[: len(columns)], places[len(columns) :]


def _pairs(users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """``(M,) int64``: the number of each pair."""
    user = np.unique(users, return_inverse=True)[1]
    known, item = np.unique(items, return_inverse=True)
    return np.unique(user * len(known) + item, return_inverse=True)[1]
