"""The step `fill-defaults`: placement and device where the sender left them out."""

from __future__ import annotations

from freshet.event.v1.event_pb2 import FILLED_FIELD_DEVICE, FILLED_FIELD_PLACEMENT, Attribute, UserEvent
from services.ingestion.cleaning.annotations import encoded
from services.ingestion.validation import MAX_ATTRIBUTES
from shared.domain.cleaning_steps import FillDefaults

DEVICE = "device"


class Defaults:
    """The fills, serialised once."""

    def __init__(self, step: FillDefaults) -> None:
        self._placement, self._device = b"", b""
        if step.placement:
            filled = UserEvent(placement=step.placement).SerializeToString()
            self._placement = filled + encoded(FILLED_FIELD_PLACEMENT)
        if step.device:
            filled = UserEvent(attributes={DEVICE: Attribute(text=[step.device])}).SerializeToString()
            self._device = filled + encoded(FILLED_FIELD_DEVICE)

    def tail(self, event: UserEvent) -> bytes:
        """What to append to the event; empty when it lacks nothing."""
        tail = b"" if event.placement else self._placement
        if self._device and DEVICE not in event.attributes and len(event.attributes) < MAX_ATTRIBUTES:
            tail += self._device
        return tail
