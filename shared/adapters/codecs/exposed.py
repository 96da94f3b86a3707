"""Exposures as columns: what was served, as impressions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from freshet.log.v1.log_pb2 import Exposure
from shared.adapters.codecs.keys import user_key
from shared.domain.events.event import EventType
from shared.domain.events.event_columns import EventColumns


def exposed_columns(exposures: Sequence[Exposure]) -> EventColumns:
    """One impression per served item, in the order of positions.

    An exposure stands at the position behind the one its state reflects: what lies before it in the log is what was
    known.
    """
    exposures = sorted(exposures, key=lambda each: each.position)
    items = [np.frombuffer(each.item_keys, np.uint64) for each in exposures]
    spread = np.repeat(np.arange(len(exposures)), [len(each) for each in items])
    position = np.array([each.position + 1 for each in exposures], np.int64)
    user = np.array([user_key(each.user_id) for each in exposures], np.uint64)
    time_ms = np.array([each.serve_time.ToMilliseconds() for each in exposures], np.int64)
    return EventColumns(
        position[spread],
        user[spread],
        np.concatenate([np.empty(0, np.uint64), *items]),
        np.full(len(spread), int(EventType.VIEW_ITEM_LIST), np.int64),
        time_ms[spread],
        np.full(len(spread), np.nan, np.float32),
    )
