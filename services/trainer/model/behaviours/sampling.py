"""Examples for a log that does not tell what was shown: each behaviour beside items drawn at random.

Decision: drawn uniformly, not by popularity. The share of what is left out is then one number for all items, and taking
it back is one constant in the log-odds (King & Zeng 2001, eq. 7; for softmax: the logQ correction): negatives drawn by
popularity would need each item's share at serving, too. The head sees the item's bias, which tells popularity anyway.
"""

from __future__ import annotations

import numpy as np

from services.trainer.model.behaviours.examples import Examples
from services.trainer.model.sequences import has_type
from shared.domain.events.event_columns import EventColumns
from shared.domain.presets.behaviours import SAMPLED

NEGATIVES = 20
"""Items drawn for each behaviour."""


def sampled_examples(
    columns: EventColumns, labels_of: list[frozenset[int]], item_keys: np.ndarray, seed: int
) -> Examples:
    """Each behaviour on a known item, and `NEGATIVES` other items at the same moment.

    Args:
        columns: a stretch of the log.
        labels_of: for each of O objectives the codes of its event types.
        item_keys: ``(V,) uint64``, sorted: the items that may be drawn. Of fewer than two there is no example.
        seed: of the draw.
    """
    known = np.isin(columns.item_key, item_keys) & (len(item_keys) > 1)
    about = np.stack([has_type(columns.event_type, types) & known for types in labels_of], axis=1)
    chosen = np.flatnonzero(about.any(axis=1))
    others = max(len(item_keys) - 1, 1)
    drawn = min(NEGATIVES, others)
    rows = np.repeat(chosen, drawn + 1)
    is_label = np.arange(len(rows)) % (drawn + 1) == 0
    own = np.searchsorted(item_keys, columns.item_key[rows])
    other = np.random.default_rng(seed).integers(1, others + 1, len(rows))
    item = np.where(is_label, own, (own + other) % (others + 1))
    return Examples(
        columns.user_key[rows],
        item_keys[item],
        columns.position[rows],
        columns.time_ms[rows],
        about[rows] & is_label[:, None],
        about[rows],
        drawn / others,
        SAMPLED,
    )
