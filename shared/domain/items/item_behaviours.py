"""What is counted of items in windows: kinds of behaviour, declared by event type."""

from __future__ import annotations

import numpy as np

from shared.domain.events.event import EVENT_TYPE_CODES, EventType
from shared.domain.presets.preset import DomainPreset

IMPRESSION, CLICK, PURCHASE, SIGNAL = "impression", "click", "purchase", "signal"
BEHAVIOURS = {
    IMPRESSION: (EventType.VIEW_ITEM_LIST, EventType.AD_IMPRESSION),
    CLICK: (EventType.CLICK, EventType.AD_CLICK, EventType.VIEW_ITEM, EventType.MEDIA_PLAY),
    PURCHASE: (
        EventType.PURCHASE,
        EventType.CONVERSION,
        EventType.COMPLETE,
        EventType.MEDIA_COMPLETE,
    ),
}
"""Event types that count as one of a kind each."""
KINDS = (*BEHAVIOURS, SIGNAL)
"""All kinds. `signal` sums the weights that the domain preset gives, in units of 1 / SIGNAL_UNITS."""
SIGNAL_UNITS = 100


def contributions(preset: DomainPreset) -> np.ndarray:
    """What one event of each type adds to each kind, (24, kinds) int32."""
    table = np.zeros((EVENT_TYPE_CODES, len(KINDS)), np.int32)
    for kind, event_types in BEHAVIOURS.items():
        table[list(event_types), KINDS.index(kind)] = 1
    table[:, KINDS.index(SIGNAL)] = np.rint(preset.weight * SIGNAL_UNITS)
    return table
