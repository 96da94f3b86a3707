"""One spelling for what means the same."""

from __future__ import annotations

import re
import unicodedata

from freshet.event.v1.event_pb2 import EventItem, UserEvent
from services.ingestion.cleaning.annotations import annotate

STEP = "normalise"
_IDS = ("event_id", "user_id", "session_id", "placement", "attribution_token", "corrects_event_id")
_BETWEEN_WORDS = re.compile(r"[\s_-]+")


def normalise(event: UserEvent) -> None:
    """Ids and texts in Unicode NFC without white space around them, event types in lower case with dashes."""
    for field in (*_IDS, "query"):
        _set(event, event, field, _text(getattr(event, field)), field)
    _set(event, event, "event_type", _event_type(event.event_type), "event_type")
    for index, item in enumerate(event.items):
        _set(event, item, "item_id", _text(item.item_id), f"items[{index}].item_id")


def _set(event: UserEvent, holder: UserEvent | EventItem, field: str, value: str, path: str) -> None:
    original = getattr(holder, field)
    if value != original:
        annotate(event, STEP, path, original)
        setattr(holder, field, value)


def _text(value: str) -> str:
    return value.strip() if value.isascii() else unicodedata.normalize("NFC", value).strip()


def _event_type(value: str) -> str:
    return _BETWEEN_WORDS.sub("-", value.strip()).lower()
