"""Rows of the archive, made of what the log holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from freshet.catalog.v1.item_pb2 import Item
from freshet.catalog.v1.user_pb2 import User
from shared.adapters.codecs.event_codec import Decoded, Unreadable, decode_batch
from shared.adapters.codecs.keys import item_key, signed, user_key
from shared.adapters.jetstream.log_reader import LogRecord
from shared.domain.events.event_batch import EventBatch

DecodedEvent = tuple[int, int, int, bytes, bytes]
"""An event's user key (signed), type code, time in milliseconds since 1970, item keys (n,) uint64 and item values (n,)
float32, NaN for none, each as bytes: what the archive's columns hold beside its position, id, partition and payload."""


@dataclass
class ArchiveBatch:
    """Rows decoded from a stretch of the log that ends at `position`."""

    position: int
    events: list[tuple] = field(default_factory=list)
    items: dict[int, tuple] = field(default_factory=dict)
    users: dict[int, tuple] = field(default_factory=dict)

    def add_events(self, records: Sequence[LogRecord]) -> list[Unreadable]:
        """Decode events, those apart that their writer has decoded. Those that are none are left out and returned."""
        coded = []
        for record in records:
            position, subject, event_id, payload, known = record
            if known is None:
                coded.append(record)
            else:
                self.events.append((position, event_id, _partition(subject), *known, payload))
        decoded = decode_batch((record.position, record.payload) for record in coded)
        bad = {each.position for each in decoded.unreadable}
        self.events += _event_rows(decoded, [record for record in coded if record.position not in bad])
        return decoded.unreadable

    def add_item(self, message: LogRecord) -> None:
        """Decode an item. Raises DecodeError when it is none."""
        item = Item.FromString(message.payload)
        key = signed(item_key(item.item_id))
        self.items[key] = (key, item.item_id, message.position, message.payload)

    def after(self, position: int) -> ArchiveBatch:
        """Only what lies behind `position`."""
        later_items = {key: row for key, row in self.items.items() if row[2] > position}
        later_users = {key: row for key, row in self.users.items() if row[2] > position}
        later_events = [row for row in self.events if row[0] > position]
        return ArchiveBatch(self.position, later_events, later_items, later_users)

    def add_user(self, message: LogRecord) -> None:
        """Decode a user. Raises DecodeError when it is none."""
        user = User.FromString(message.payload)
        key = signed(user_key(user.user_id))
        self.users[key] = (key, user.user_id, message.position, message.payload)


def _partition(subject: str) -> int:
    """Of an event's subject, `...events.v1.<partition>.<event type>`."""
    return int(subject.rsplit(".", 2)[1])


def _event_rows(decoded: Decoded, messages: Sequence[LogRecord]) -> Iterable[tuple]:
    """Rows of the events in `messages`, in the order of the table's columns."""
    batch = decoded.batch
    partitions = [_partition(message.subject) for message in messages]
    users = batch.user_key.view(np.int64).tolist()  # the same 64 bits, signed
    types, times = batch.event_type.tolist(), batch.time_ms.tolist()
    keys, values = _runs(batch.item_key, batch), _runs(batch.value, batch)
    payloads = [message.payload for message in messages]
    positions = batch.position.tolist()
    columns = (positions, decoded.event_ids, partitions, users, types, times, keys, values, payloads)
    return zip(*columns, strict=True)


def _runs(column: np.ndarray, batch: EventBatch) -> list[bytes]:
    """The bytes of each event's items in a column (R,)."""
    raw, size = column.tobytes(), column.itemsize
    ends = (batch.item_start * size).tolist()
    return [raw[start:end] for start, end in pairwise(ends)]
