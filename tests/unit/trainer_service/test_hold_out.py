"""Where the cut lies between what is learned and what judges."""

import numpy as np

from services.trainer.model.answering.evaluation import CaseOptions
from services.trainer.reading.hold_out import HoldOutRule, Questions, hold_out, questions
from services.trainer.reading.prompting import WINDOW_SECONDS, Served
from shared.domain.events.event_columns import EventColumns
from tests.unit.trainer.builders import events, walks

RULE = HoldOutRule(share=0.05, most_rows=1000, min_users=1)


def held_rows(columns: EventColumns, rule: HoldOutRule) -> int:
    held = hold_out(columns, rule, CaseOptions())
    assert len(held.train) + len(held.held_out) == len(columns)
    assert held.train.position.max(initial=0) < held.held_out.position.min(initial=len(columns) + 1)
    return len(held.held_out)


def test_the_newest_share_judges():
    assert held_rows(walks(n_users=50, length=20), RULE) == 50


def test_the_share_is_capped():
    assert held_rows(walks(n_users=50, length=20), RULE._replace(most_rows=20)) == 20


def test_the_share_doubles_until_there_are_enough_users():
    assert held_rows(walks(n_users=100, length=10), RULE._replace(min_users=51)) == 100


def test_the_share_does_not_grow_above_a_fifth():
    assert held_rows(walks(n_users=50, length=20), RULE._replace(min_users=10_000)) == 200


def test_of_a_large_catalogue_fewer_users_are_asked_but_as_many_as_a_verdict_needs(monkeypatch):
    log = walks(n_users=50, n_items=20, length=20)
    monkeypatch.setattr("services.trainer.reading.hold_out.JUDGED_SCORES", 7 * 20)
    asked = [len(hold_out(log, RULE._replace(min_users=least), CaseOptions()).cases) for least in (1, 9)]
    assert asked == [7, 9]


def test_a_share_chosen_above_a_fifth_is_kept():
    assert held_rows(walks(n_users=50, length=20), RULE._replace(share=0.5, min_users=10_000)) == 500


def test_nothing_that_the_champion_has_learned_judges():
    assert held_rows(walks(n_users=50, length=20), RULE._replace(later_than=990)) == 10


def test_a_candidate_learns_what_came_after_the_champion_but_before_the_newest_share():
    assert held_rows(walks(n_users=50, length=20), RULE._replace(later_than=500)) == 50


def test_without_later_traffic_nothing_judges():
    held = hold_out(walks(n_users=50, length=20), RULE._replace(later_than=1000), CaseOptions())
    assert (len(held.held_out), len(held.cases)) == (0, 0)


def test_an_event_of_several_items_is_not_torn_apart():
    columns = walks(n_users=50, length=20)
    position = np.where(np.arange(1000) < 940, np.arange(1000), 940).astype(np.int64)
    torn = EventColumns(position, *(getattr(columns, n) for n in EventColumns.__slots__[1:]))
    assert held_rows(torn, RULE) == 60


def test_no_events_leave_nothing_to_judge():
    assert held_rows(EventColumns.empty(), RULE) == 0


BEFORE = events((1, 5), (2, 5))
LATER = events((1, 6), (1, 7), (2, 8))


def asked(*shown: tuple[int, int], min_users: int = 0) -> Questions:
    """Of the events behind what was shown to (user, item)s."""
    return questions(BEFORE, LATER, CaseOptions(), Served(events(*shown)), min_users)


def test_what_was_recommended_asks_for_nothing_but_the_users_next_choice_of_their_own_does():
    assert asked((1, 6)).cases.targets.tolist() == [7, 8]
    assert asked((1, 6)).prompted_events == 1


def test_what_a_recommendation_had_its_user_consume_is_not_asked_for_when_the_user_returns_to_it_later():
    later = events((1, 6), (1, 6), (1, 7), (2, 8))
    later.time_ms[1:] += int(2000 * WINDOW_SECONDS)
    found = questions(BEFORE, later, CaseOptions(), Served(events((1, 6))), 0)
    assert (found.cases.targets.tolist(), found.prompted_events) == ([7, 8], 1)


def test_users_who_did_only_what_was_recommended_are_not_asked():
    assert asked((2, 8)).cases.user_keys.tolist() == [1]


def test_where_too_few_chose_on_their_own_everybody_is_asked_and_that_is_told():
    few = asked((2, 8), min_users=2)
    assert few.cases.targets.tolist() == [6, 8]
    assert (few.prompted_events, few.prompted_asked) == (1, True)


def test_too_few_users_for_whom_nothing_was_recommended_are_just_too_few():
    few = asked(min_users=3)
    assert (len(few.cases), few.prompted_events, few.prompted_asked) == (2, 0, False)


def test_the_share_doubles_while_too_few_chose_on_their_own():
    columns = walks(n_users=100, length=10)
    newest = columns.take(columns.position > 950)
    served = Served(newest)
    found = hold_out(columns, RULE._replace(min_users=10), CaseOptions(), served)
    assert (len(found.held_out), len(found.cases)) == (100, 50)
