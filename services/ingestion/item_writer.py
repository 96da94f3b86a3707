"""Takes catalogue items into the log. An item that is there already in just this form is not written again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from freshet.catalog.v1.item_pb2 import Item
from services.ingestion.validation import item_violations
from shared.adapters.catalogue import Catalogue
from shared.adapters.keys import item_key
from shared.adapters.log_writer import Appended, LogUnavailableError, LogWriter, Record
from shared.adapters.streams import Names
from shared.domain.violation import Violation


class ItemRejected(NamedTuple):
    """An item that may not enter the log, and why."""

    violations: list[Violation]


ItemOutcome = Appended | ItemRejected | LogUnavailableError


class ItemWriter:
    """Writes items."""

    def __init__(self, log: LogWriter, catalogue: Catalogue, names: Names) -> None:
        self._log = log
        self._catalogue = catalogue
        self._names = names

    async def write(self, items: Sequence[Item]) -> list[ItemOutcome]:
        """Check and write items, in order; one outcome each. Raises LogOverloadedError: then none was written."""
        outcomes: list[ItemOutcome | None] = []
        records = []
        for item in items:
            record = self._record(item)
            outcomes.append(None if isinstance(record, Record) else record)
            if isinstance(record, Record):
                records.append(record)
        appended = iter(await self._log.append(records) if records else ())
        return [outcome if outcome is not None else next(appended) for outcome in outcomes]

    def _record(self, item: Item) -> Record | ItemOutcome:
        """What to append for the item, or its outcome when nothing is to be appended."""
        key = item_key(item.item_id)
        if violations := [*item_violations(item), *self._collision(item, key)]:
            return ItemRejected(violations)
        payload = item.SerializeToString(deterministic=True)
        if self._catalogue.knows_content(key, payload):
            return Appended(0, duplicate=True)
        return Record(self._names.item_subject(key), "", payload)

    def _collision(self, item: Item, key: int) -> list[Violation]:
        other = self._catalogue.id_of(key)
        if other is None or other == item.item_id:
            return []
        return [Violation("item_id", f"has the same key as {other!r}; choose another id", "KEY_COLLISION")]
