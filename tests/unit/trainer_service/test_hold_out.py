"""Where the cut lies between what is learned and what judges."""

import numpy as np

from services.trainer.hold_out import HoldOutRule, hold_out
from services.trainer.model.evaluation import CaseOptions
from shared.domain.event_columns import EventColumns
from tests.unit.trainer.builders import walks

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
