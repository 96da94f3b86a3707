"""Exposures as impressions."""

from __future__ import annotations

import numpy as np

from freshet.log.v1.log_pb2 import Exposure
from shared.adapters.codecs.exposed import exposed_columns
from shared.adapters.codecs.keys import user_key


def exposure(position: int, *items: int, seconds: int = 5) -> Exposure:
    made = Exposure(user_id="u1", position=position, item_keys=np.array(items, np.uint64).tobytes())
    made.serve_time.seconds = seconds
    return made


def test_an_exposure_is_an_impression_of_each_item_behind_what_was_known():
    columns = exposed_columns([exposure(9, 3, 4), exposure(7, 2)])
    assert columns.position.tolist() == [8, 10, 10]
    assert columns.item_key.tolist() == [2, 3, 4]
    assert columns.user_key.tolist() == [user_key("u1")] * 3
    assert (columns.event_type.tolist(), columns.time_ms.tolist()) == ([1] * 3, [5000] * 3)


def test_no_exposures_are_no_impressions():
    assert len(exposed_columns([])) == len(exposed_columns([exposure(1)])) == 0
