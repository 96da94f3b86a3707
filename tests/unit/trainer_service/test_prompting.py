"""Which events a recommendation may have prompted."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.reading.prompting import NOTHING_SERVED, WINDOW_SECONDS, Served, of_their_own, prompted
from shared.domain.events.event_columns import EventColumns
from tests.unit.trainer.builders import events

HOUR_MS = 3_600_000
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


def test_an_answer_long_after_what_was_sent_late_takes_nothing_back_of_the_one_before_it():
    before = shown((1, 6), at=1, seconds=-60)
    since = shown((1, 6), at=2, seconds=2 * WINDOW_SECONDS)
    assert marked(Served(EventColumns.concatenate([before, since]))) == [False, False, True, False]


def test_their_own_is_what_users_are_not_known_to_have_done_because_it_was_recommended():
    served = Served(shown((1, 5), at=1), known_from=2)
    assert marked(served) == [True, False, False, True]
    assert of_their_own(CHOSEN, served).tolist() == [True, True, True, False]


@st.composite
def histories(draw) -> tuple[EventColumns, EventColumns]:
    """Events, some of them sent late, and what was shown meanwhile; hours, while every event takes a position."""
    rows = st.tuples(st.integers(1, 2), st.integers(5, 6))
    happened = draw(st.lists(st.tuples(rows, st.integers(0, 60)), min_size=1, max_size=8))
    answers = sorted(draw(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9), rows), max_size=8)))
    columns, exposed = (events(*(each[key] for each in some)) for some, key in ((happened, 0), (answers, 2)))
    columns.time_ms[:] = [(10 * at - late) * HOUR_MS for at, (_, late) in enumerate(happened, start=1)]
    exposed.position[:] = [at for at, _, _ in answers]
    exposed.time_ms[:] = [(10 * at - 9 + hour) * HOUR_MS for at, hour, _ in answers]
    return columns, exposed


@given(histories())
def test_any_answer_within_a_day_that_came_before_the_event_was_in_the_log_may_have_prompted_it(history):
    columns, exposed = history
    expected = [_is_prompted(row, _facts(exposed)) for row in _facts(columns)]
    assert prompted(columns, Served(exposed)).tolist() == expected


def _facts(columns: EventColumns) -> list[tuple[int, ...]]:
    names = ("user_key", "item_key", "position", "time_ms")
    return list(zip(*(getattr(columns, name).tolist() for name in names), strict=True))


def _is_prompted(event: tuple[int, ...], answers: list[tuple[int, ...]]) -> bool:
    return any(
        answer[:2] == event[:2] and answer[2] <= event[2] and abs(answer[3] - event[3]) <= 24 * HOUR_MS
        for answer in answers
    )


def test_events_of_a_time_of_which_nothing_is_known_may_have_been_prompted():
    assert marked(Served(EventColumns.empty(), known_from=3)) == [True, True, False, False]
    assert marked(Served(shown((1, 5), at=3), known_from=3)) == [True, True, False, True]


def test_no_events_no_marks():
    assert prompted(EventColumns.empty(), Served(CHOSEN)).dtype == np.bool_
    assert marked(Served(CHOSEN), EventColumns.empty()) == []
