"""Placement and device where senders leave them out."""

from __future__ import annotations

from freshet.event.v1.event_pb2 import Attribute, UserEvent
from services.ingestion.cleaning.annotations import EFFECTS, FILLED, filled
from shared.domain.cleaning import FillDefaults

STEP = "fill-defaults"
DEVICE = "device"


class DefaultsFiller:
    """Fills in what a preset gives defaults for."""

    def __init__(self, rule: FillDefaults) -> None:
        self._placement = self._device = b""
        if rule.placement:
            self._placement = _bytes(UserEvent(placement=rule.placement), "placement")
        if rule.device:
            attributes = {DEVICE: Attribute(text=[rule.device])}
            self._device = _bytes(UserEvent(attributes=attributes), f'attributes["{DEVICE}"]')
        self._both = self._placement + self._device

    def fill(self, event: UserEvent) -> bytes:
        """Bytes to add to the event."""
        if not event.placement and not event.attributes:
            EFFECTS.count(STEP, FILLED)
            return self._both
        placement = b"" if event.placement else self._placement
        device = b"" if DEVICE in event.attributes else self._device
        if placement or device:
            EFFECTS.count(STEP, FILLED)
        return placement + device


def _bytes(part: UserEvent, field: str) -> bytes:
    return part.SerializeToString() + filled(STEP, field)
