"""One quick look that tells a plain event: nothing to normalise and nothing wrong with it.

Most events are plain, and this costs a fraction of what naming violations costs. It may call a good event not plain,
never the other way round; tests hold it against validation and normalisation.
"""

from __future__ import annotations

import re
from math import isfinite

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.validation import ID_CHARACTERS, MAX_ITEMS
from shared.domain.event import EVENT_TYPE_BY_WORD, EventType

_PLAIN_TYPES = frozenset(EVENT_TYPE_BY_WORD) - {EventType.SEARCH.word, EventType.REVERSAL.word}


def is_plain(event: UserEvent) -> bool:
    """Whether the event is plain, its event time apart."""
    event_id = event.event_id
    if event.event_type not in _PLAIN_TYPES or not _is_plain_text(event.user_id) or " " in event_id:
        return False
    if event_id and not _is_plain_text(event_id):
        return False
    if event.attributes or event.query or event.corrects_event_id:
        return False
    return _plain_context(event) and _plain_items(event)


_is_plain_text = re.compile(rf"[!-~](?:[ -~]{{0,{ID_CHARACTERS - 2}}}[!-~])?").fullmatch
"""Printable ASCII, 1 to 128 characters, no space around it. One expression costs half of four tests of a text."""


def _plain_context(event: UserEvent) -> bool:
    for text in (event.session_id, event.placement, event.attribution_token):
        if text and not _is_plain_text(text):
            return False
    return True


def _plain_items(event: UserEvent) -> bool:
    items = event.items
    if not 0 < len(items) <= MAX_ITEMS:
        return False
    for item in items:
        if not _is_plain_text(item.item_id) or item.quantity < 0 or item.position < 0:
            return False
        if not isfinite(item.value):  # an absent value reads as 0
            return False
    return True
