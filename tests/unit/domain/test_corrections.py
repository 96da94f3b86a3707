"""Nothing is learned from what was taken back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.events.corrections import Correction, without_taken_back
from shared.domain.events.event import EventType
from shared.domain.events.event_columns import EventColumns

PURCHASE, CLICK, LIKE = EventType.PURCHASE, EventType.CLICK, EventType.LIKE
FEW = (st.sampled_from([7, 7, 8]), st.sampled_from([1, 1, 2]), st.sampled_from([LIKE, LIKE, CLICK]))
TIMES = st.integers(1, 3)
ROWS = st.lists(st.tuples(st.integers(1, 12), *FEW, TIMES), max_size=20)
CORRECTIONS = st.lists(st.builds(Correction, st.integers(1, 13), *FEW, st.none() | TIMES), max_size=20)


def columns(*rows: tuple[int, int, int]) -> EventColumns:
    """Rows of (user, item, type) at positions 1, 2, 3 and times 1000, 2000, 3000."""
    return columns_at((number, *row, number * 1000) for number, row in enumerate(rows, 1))


def columns_at(rows: Iterable[tuple[int, int, int, int, int]]) -> EventColumns:
    """Rows of (position, user, item, type, time), put into log order."""
    facts = np.array(sorted(rows, key=lambda row: row[0]), np.int64).reshape(-1, 5)
    positions, users, items, types, times = facts.T
    values = np.full(len(facts), np.nan, np.float32)
    return EventColumns(positions, users.astype(np.uint64), items.astype(np.uint64), types, times, values)


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
        Correction(4, 7, 1, LIKE),
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


def test_what_a_reversal_has_taken_back_is_passed_over():
    log = columns((7, 1, CLICK), (7, 1, CLICK), (7, 1, CLICK))
    reversal, newest = Correction(8, 7, 1, CLICK, time_ms=3000), Correction(9, 7, 1, CLICK)
    assert kept(log, reversal, newest) == [1]
    assert kept(log, newest._replace(position=7), reversal) == [1, 2]


def plainly_kept(log: EventColumns, corrections: Sequence[Correction]) -> list[int]:
    """Row numbers that stay, by going through all rows for each correction."""
    subjects = list(zip(log.user_key, log.item_key, log.event_type, strict=True))
    stay = list(range(len(log)))
    for position, *subject, time_ms in sorted(corrections, key=lambda each: each.position):
        earlier = [row for row in stay if log.position[row] < position and subjects[row] == tuple(subject)]
        fitting = [row for row in earlier if time_ms in (None, log.time_ms[row])]
        if fitting:
            stay.remove(fitting[-1])
    return stay


@given(ROWS, CORRECTIONS)
def test_each_correction_in_log_order_takes_back_the_newest_row_that_is_left(rows, corrections):
    log = columns_at(rows)
    numbered = replace(log, value=np.arange(len(log), dtype=np.float32))
    assert without_taken_back(numbered, corrections).value.tolist() == plainly_kept(log, corrections)


@pytest.mark.parametrize("timed", [False, True], ids=["the newest", "one of a time"])
def test_who_likes_and_unlikes_one_item_for_ever_does_not_hold_up_the_reading(timed):
    pairs = 20_000
    log = columns_at((2 * pair, 7, 1, LIKE, pair) for pair in range(pairs))
    unlikes = [Correction(2 * pair + 1, 7, 1, LIKE, pair if timed else None) for pair in range(pairs)]
    assert kept(log, *unlikes) == []
