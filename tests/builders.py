"""Things with sensible defaults, so that a test says only what matters to it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from freshet.catalog.v1.item_pb2 import Item
from freshet.event.v1.event_pb2 import EventItem, UserEvent
from shared.adapters.codecs.bundle import Bundle
from shared.adapters.codecs.keys import item_keys
from shared.adapters.presets import load_preset
from shared.domain.events.event import Event, EventType, ItemReference
from shared.domain.fold.state import FoldSettings, State
from shared.domain.models.manifest import ENCODER_INPUTS, ENCODER_OUTPUT, Manifest, Tensor

VIDEO = load_preset("video")
START_MS = 1_700_000_000_000
DAY_MS = 86_400_000


def message(event_type: str = "click", user_id: str = "u1", items: Iterable[str] = ("i1",), **fields: Any):
    """An event as a sender makes it; it happened in November 2023."""
    defaults = {"event_time": datetime(2023, 11, 14, tzinfo=UTC)}
    items = [EventItem(item_id=each) for each in items]
    return UserEvent(event_type=event_type, user_id=user_id, items=items, **{**defaults, **fields})


def catalogue_item(item_id: str = "i1", **fields: Any) -> Item:
    """An item as a sender makes it."""
    return Item(item_id=item_id, **{"title": f"Title of {item_id}", **fields})


def event(position: int = 1, **fields: Any) -> Event:
    """An event as the folds see it; by default each position is another event of one user."""
    items = tuple(ItemReference(key, value=math.nan) for key in fields.pop("items", (1,)))
    defaults = {"event_key": position, "user_key": 7, "event_type": EventType.CLICK, "time_ms": START_MS}
    return Event(position=position, items=items, **{**defaults, **fields})


def state(history_length: int = 8, partitions: int = 4, owned: Iterable[int] | None = None) -> State:
    """An empty state of the video domain."""
    return State(FoldSettings(VIDEO, history_length, partitions), owned)


def bundle(item_ids: Sequence[str] = ("a", "b", "c"), dimension: int = 4, encoder: bytes = b"onnx") -> Bundle:
    """A bundle whose encoder is not meant to run."""
    keys = np.sort(item_keys(item_ids))
    vectors = np.arange(len(keys) * dimension, dtype=np.float32).reshape(len(keys), dimension)
    tensors = {name: Tensor("float32", (-1, -1)) for name in (*ENCODER_INPUTS, ENCODER_OUTPUT)}
    return Bundle(
        manifest=manifest(item_count=len(keys), dimension=dimension, tensors=tensors),
        encoder=encoder,
        item_keys=keys,
        item_vectors=vectors,
        item_biases=np.zeros(len(keys), np.float32),
        golden={name: np.zeros((1, 1), np.float32) for name in (*ENCODER_INPUTS, ENCODER_OUTPUT)},
    )


def manifest(**fields: Any) -> Manifest:
    """A manifest of a small model."""
    defaults: dict[str, Any] = {
        "encoder": "transformer",
        "dimension": 4,
        "item_count": 3,
        "history_length": 8,
        "log_from": 1,
        "log_to": 100,
        "seed": 0,
        "code_revision": "r1",
        "domain": "video",
        "tensors": {name: Tensor("float32", (-1, -1)) for name in (*ENCODER_INPUTS, ENCODER_OUTPUT)},
    }
    return Manifest(**{**defaults, **fields})
