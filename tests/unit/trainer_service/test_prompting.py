"""Which events a recommendation may have prompted."""

import numpy as np

from services.trainer.reading.prompting import NOTHING_SERVED, WINDOW_SECONDS, Served, prompted
from shared.domain.events.event_columns import EventColumns
from tests.unit.trainer.builders import events

CHOSEN = events((1, 5), (2, 5), (1, 6), (1, 5))


def marked(served: Served, columns: EventColumns = CHOSEN) -> list[bool]:
    return prompted(columns, served).tolist()


def shown(*rows: tuple[int, int], at: int, seconds: float = 0.0) -> EventColumns:
    """Items shown to users at a position of the log."""
    columns = events(*rows)
    columns.position[:] = at
    columns.time_ms[:] = int(1000 * seconds)
    return columns


def test_nothing_served_has_prompted_nothing():
    assert marked(NOTHING_SERVED) == [False] * 4


def test_an_event_on_an_item_that_its_user_was_shown_may_come_of_that():
    assert marked(Served(shown((1, 5), at=1))) == [True, False, False, True]


def test_what_is_shown_later_has_prompted_nothing_before():
    assert marked(Served(shown((1, 5), at=2))) == [False, False, False, True]


def test_what_was_shown_to_others_counts_for_them():
    assert marked(Served(shown((3, 5), (1, 9), at=1))) == [False] * 4


def test_after_a_day_an_answer_is_forgotten():
    day = shown((1, 5), at=1, seconds=-WINDOW_SECONDS)
    assert marked(Served(day)) == [True, False, False, False]


def test_the_last_answer_counts():
    long_ago = shown((1, 6), at=1, seconds=-2 * WINDOW_SECONDS)
    lately = shown((1, 6), at=3)
    assert marked(Served(EventColumns.concatenate([long_ago, lately]))) == [False, False, True, False]


def test_events_of_a_time_of_which_nothing_is_known_may_have_been_prompted():
    assert marked(Served(EventColumns.empty(), known_from=3)) == [True, True, False, False]
    assert marked(Served(shown((1, 5), at=3), known_from=3)) == [True, True, False, True]


def test_no_events_no_marks():
    assert prompted(EventColumns.empty(), Served(CHOSEN)).dtype == np.bool_
    assert marked(Served(CHOSEN), EventColumns.empty()) == []
