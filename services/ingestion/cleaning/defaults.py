"""The step `fill-defaults`: placement and device where the sender left them out."""

from __future__ import annotations

from freshet.event.v1.event_pb2 import FILLED_FIELD_DEVICE, FILLED_FIELD_PLACEMENT, Attribute, UserEvent
from services.ingestion.cleaning.annotations import encoded
from services.ingestion.cleaning.draft import Draft
from services.ingestion.validation import MAX_ATTRIBUTES
from shared.domain.presets.cleaning_steps import FillDefaults

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

    def tail(self, draft: Draft) -> bytes:
        """What to append to the event; empty when it lacks nothing."""
        tail = b"" if draft.placement else self._placement
        return tail + self._device if self._device and _lacks_device(draft) else tail


def _lacks_device(draft: Draft) -> bool:
    if draft.payload:
        return True  # and no other attribute either
    attributes = draft.event.attributes
    return DEVICE not in attributes and len(attributes) < MAX_ATTRIBUTES
