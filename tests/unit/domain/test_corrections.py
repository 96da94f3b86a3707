"""Nothing is learned from what was taken back."""

from __future__ import annotations

import numpy as np
import pytest

from shared.domain.corrections import Correction, without_taken_back
from shared.domain.event import EventType
from shared.domain.event_columns import EventColumns

PURCHASE, CLICK = EventType.PURCHASE, EventType.CLICK


def columns(*rows: tuple[int, int, int]) -> EventColumns:
    """Rows of (user, item, type) at positions and times 1, 2, 3."""
    numbers = np.arange(1, len(rows) + 1)
    users, items, types = np.array(rows).T
    values = np.full(len(rows), np.nan, np.float32)
    keys = (users.astype(np.uint64), items.astype(np.uint64))
    return EventColumns(numbers, *keys, types.astype(np.int64), numbers * 1000, values)


def kept(log: EventColumns, *corrections: Correction) -> list[int]:
    return without_taken_back(log, corrections).position.tolist()


def test_the_newest_earlier_event_is_taken_back():
    log = columns((7, 1, PURCHASE), (7, 1, PURCHASE), (7, 2, PURCHASE))
    assert kept(log, Correction(4, 7, 1, PURCHASE)) == [1, 3]


def test_a_second_correction_takes_back_the_one_before():
    log = columns((7, 1, PURCHASE), (7, 1, PURCHASE))
    assert kept(log, Correction(3, 7, 1, PURCHASE), Correction(4, 7, 1, PURCHASE)) == []


@pytest.mark.parametrize(
    "correction",
    [
        Correction(4, 8, 1, PURCHASE),
        Correction(4, 7, 3, PURCHASE),
        Correction(4, 7, 1, EventType.LIKE),
        Correction(1, 7, 1, PURCHASE),
        Correction(4, 7, 1, PURCHASE, time_ms=5),
    ],
    ids=["another user", "another item", "another type", "a later event", "another time"],
)
def test_what_a_correction_does_not_name_stays(correction):
    assert kept(columns((7, 1, PURCHASE), (7, 2, CLICK)), correction) == [1, 2]


def test_a_reversal_takes_back_the_event_of_its_time():
    log = columns((7, 1, CLICK), (7, 1, CLICK), (7, 1, CLICK))
    assert kept(log, Correction(9, 7, 1, CLICK, time_ms=2000)) == [1, 3]
