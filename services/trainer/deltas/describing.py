"""Tells what the log holds of the catalogue to those who make rows for new items.

Decision: vectors of texts are made, and learned from, in a thread, a batch of the log's messages at a time. A text
takes about 0.1 ms; the event loop, on which deltas are published meanwhile, goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import structlog
from google.protobuf.message import DecodeError

from freshet.catalog.v1.item_pb2 import Item
from services.trainer.text_embedding import TextEmbedding
from shared.adapters.codecs.keys import item_key
from shared.adapters.jetstream.log_reader import LogMessage
from shared.domain.content.content_tags import content_tags, content_text
from shared.domain.content.new_items import NewItems

_log = structlog.get_logger("deltas")


class Describer:
    """Reads items; with an embedding, their texts have vectors. One task at a time may use it for the same items."""

    def __init__(self, embedding: TextEmbedding | None) -> None:
        self._embedding = embedding

    async def describe(self, items: NewItems, messages: Sequence[LogMessage]) -> None:
        """Tell `items` what the newest of these messages says of each item. Deleted items and what cannot be read are
        left out."""
        read = [item for message in messages if (item := _item(message)) is not None]
        newest = {item_key(item.item_id): item for item in read}
        vectors = await self._vectors({key: item for key, item in newest.items() if items.wants_text(key)})
        for key, item in newest.items():
            tags = content_tags(item.categories, item.brand, item.title)
            items.describe(key, tags, vectors.get(key))

    async def _vectors(self, read: dict[int, Item]) -> dict[int, np.ndarray]:
        """Those of the items that have a text, by key."""
        if self._embedding is None:
            return {}
        told = ((key, content_text(item.categories, item.brand, item.title)) for key, item in read.items())
        texts = {key: text for key, text in told if text}
        made = await asyncio.to_thread(self._embedding.vectors, list(texts.values()))
        return dict(zip(texts, made, strict=True))

    async def learn(self, items: NewItems) -> None:
        """Let texts count by what `items` know of them now, if that is much more than before."""
        if items.texts_due:
            items.use_texts(await asyncio.to_thread(items.learn_texts))


def _item(message: LogMessage) -> Item | None:
    """None when it is deleted or cannot be read."""
    try:
        item = Item.FromString(message.payload)
    except DecodeError as error:
        _log.error("item cannot be read", position=message.position, reason=str(error))
        return None
    return None if item.HasField("delete_time") else item
