"""Takes catalogue items into the log. An item that is there already in just this form is not written again."""

from __future__ import annotations

from collections.abc import Sequence

from freshet.catalog.v1.item_pb2 import Item
from services.ingestion.validation import item_violations
from services.ingestion.writing.versions import (
    Draft,
    Refused,
    VersionOutcome,
    VersionWriter,
    collision,
    unless_same,
)
from shared.adapters.codecs.keys import item_key, same_id
from shared.adapters.jetstream.last_messages import StoredMessage
from shared.adapters.jetstream.log_writer import Appended
from shared.adapters.jetstream.streams import Names


class ItemWriter:
    """Writes and deletes items. A deleted item is one more version, which says when it was deleted."""

    def __init__(self, versions: VersionWriter, names: Names) -> None:
        self._versions = versions
        self._names = names

    async def write(self, items: Sequence[Item]) -> list[VersionOutcome]:
        """Check and write items, in order; one outcome each. Raises LogOverloadedError: then none was written."""
        return await self._versions.write([self._draft(item) for item in items])

    async def delete(self, item_ids: Sequence[str]) -> list[VersionOutcome]:
        """Delete items, in order; one outcome each, a duplicate for what is not there. Raises LogOverloadedError."""
        return await self._versions.write([self._deletion(item_id) for item_id in item_ids])

    def _draft(self, item: Item) -> Draft | Refused:
        item.ClearField("delete_time")
        item.DiscardUnknownFields()
        if violations := item_violations(item):
            return Refused(violations)
        payload = item.SerializeToString(deterministic=True)
        judge = unless_same(
            payload, lambda held: collision("item_id", item.item_id, Item.FromString(held).item_id)
        )
        return Draft(self._names.item_subject(item_key(item.item_id)), payload, judge)

    def _deletion(self, item_id: str) -> Draft | Refused:
        tombstone = Item(item_id=item_id)
        if violations := item_violations(tombstone):
            return Refused(violations)
        tombstone.delete_time.GetCurrentTime()

        def judge(held: StoredMessage | None) -> Appended | None:
            item = Item.FromString(held.payload) if held is not None else Item()
            there = same_id(item.item_id, item_id) and not item.HasField("delete_time")
            return None if there else Appended(held.position if held else 0, duplicate=True)

        subject = self._names.item_subject(item_key(item_id))
        return Draft(subject, tombstone.SerializeToString(deterministic=True), judge)
