"""The step `normalise`: texts in Unicode NFC without surrounding white space; event types as the vocabulary has them.

It works before validation and never makes a valid event invalid: a text is not trimmed to nothing, and stays as it was
trimmed where NFC would make it too long.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from freshet.event.v1.event_pb2 import EventItem, UserEvent
from services.ingestion.cleaning.annotations import annotate
from services.ingestion.validation import MAX_ITEMS, TEXT_CHARACTERS
from shared.domain.presets.cleaning_steps import Normalise
from shared.domain.violation import ID_CHARACTERS

_LONGEST_CHARACTERS = 4 * TEXT_CHARACTERS
"""Longer texts are left to validation, which refuses them."""
_SEPARATORS = re.compile(r"(?![\x00-\x1f\x7f-\x9f])[_\s]")
"""White space and underscores; no control characters, which no way of spelling holds."""
_LONGEST_BY_FIELD = {
    "event_id": ID_CHARACTERS,
    "event_type": ID_CHARACTERS,
    "user_id": ID_CHARACTERS,
    "session_id": ID_CHARACTERS,
    "attribution_token": ID_CHARACTERS,
    "placement": ID_CHARACTERS,
    "query": TEXT_CHARACTERS,
    "corrects_event_id": ID_CHARACTERS,
}


class _Text(NamedTuple):
    """One text of an event: where it stands, the message that holds it, and how long it may be."""

    path: str
    holder: UserEvent | EventItem
    field: str
    longest: int


def normalise(event: UserEvent) -> bool:
    """Normalise the texts of an event in place, noting each change. Whether anything changed."""
    changed = False
    for text in _texts(event):
        original = getattr(text.holder, text.field)
        if original and (clean := _clean(text, original)) != original:
            setattr(text.holder, text.field, clean)
            annotate(event, Normalise.word, text.path, original)
            changed = True
    return changed


def _texts(event: UserEvent) -> Iterator[_Text]:
    for field, longest in _LONGEST_BY_FIELD.items():
        yield _Text(field, event, field, longest)
    if len(event.items) <= MAX_ITEMS:
        for index, item in enumerate(event.items):
            yield _Text(f"items[{index}].item_id", item, "item_id", ID_CHARACTERS)


def _clean(text: _Text, original: str) -> str:
    clean = tidy(original, text.longest)
    return event_word(clean) if text.field == "event_type" else clean


def tidy(text: str, longest: int) -> str:
    """The text in NFC without surrounding white space. longest: characters that it may have."""
    if len(text) > _LONGEST_CHARACTERS:
        return text
    trimmed = text.strip()
    composed = trimmed if trimmed.isascii() else unicodedata.normalize("NFC", trimmed)
    return (composed if len(composed) <= max(longest, len(trimmed)) else trimmed) or text


def event_word(text: str) -> str:
    """A word of the vocabulary however it is spelt: "Add_To_Cart" is "add-to-cart"."""
    return _SEPARATORS.sub("-", text.lower()) if len(text) <= ID_CHARACTERS else text
