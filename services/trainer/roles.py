"""Which event types a domain's models learn from."""

from __future__ import annotations

import numpy as np

from services.trainer.model.sequences import EventRoles
from shared.domain.presets.preset import DomainPreset


def roles_of(preset: DomainPreset) -> EventRoles:
    """What enters a history is read, as in serving; of that, what has a weight above 0 is predicted, and what has one
    below 0 says no to its item; consumed items are excluded."""
    return EventRoles(
        history=_codes(preset.in_history),
        target=_codes(preset.in_history & (preset.weight > 0)),
        seen=_codes(preset.consumes),
        weights=tuple(np.where(preset.in_history, preset.weight, 0.0).tolist()),
    )


def _codes(chosen: np.ndarray) -> frozenset[int]:
    return frozenset(np.flatnonzero(chosen).tolist())
