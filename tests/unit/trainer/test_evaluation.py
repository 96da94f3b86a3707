"""Which question each user is asked, and where the answer ranks."""

from dataclasses import replace

import numpy as np
import pytest

from services.trainer.model.answering.evaluation import CaseOptions, HoldOut, compare, judge, leave_one_out
from services.trainer.model.answering.scoring import Histories, ModelScorer
from services.trainer.model.mixing.baselines import Popularity, most_popular, recently_popular
from services.trainer.model.sequences import EventRoles, by_user
from services.trainer.reading.hold_out import HoldOutRule, hold_out
from tests.unit.trainer.builders import DISLIKE, PURCHASE, VIEW, events, random_model, walks


def keys(*items: int) -> np.ndarray:
    return np.array(items, np.uint64)


def fixed(**scores: float) -> Popularity:
    """Items called i1, i2, ... with their scores."""
    return Popularity(keys(*(int(name[1:]) for name in scores)), np.array(list(scores.values())))


def rank(columns, scorer) -> int:
    ((first, last),) = judge(leave_one_out(columns).cases, {"it": scorer})["it"].ranks
    assert first == last
    return first


def newest(columns, share: float, options: CaseOptions | None = None) -> HoldOut:
    """The newest share of the log held out, whoever it asks."""
    rule = HoldOutRule(share, most_rows=len(columns), min_users=0)
    return hold_out(columns, rule, options or CaseOptions())


def test_leave_one_out_asks_for_the_last_event():
    split = leave_one_out(events((1, 5), (2, 5), (1, 6), (2, 7)))
    assert split.cases.targets.tolist() == [6, 7]
    assert len(split.train) == 2


def test_leave_one_out_shows_nothing_of_the_event_that_is_asked_for():
    columns = events((1, 5), (1, 6), (1, 7), (1, 8))
    basket = replace(columns, position=np.array([1, 2, 2, 2]))
    split = leave_one_out(basket)
    assert split.cases.targets.tolist() == [6]
    assert split.train.item_key.tolist() == [5]
    assert split.cases.histories.item_keys[split.cases.histories.mask].tolist() == [5]


def test_the_hold_out_is_the_newest_share():
    split = newest(walks(n_users=10, length=10), 0.2)
    assert (len(split.train), len(split.held_out)) == (80, 20)
    assert split.train.position.max() < split.held_out.position.min()


def test_the_hold_out_asks_for_the_first_unseen_item():
    split = newest(events((1, 5), (1, 6), (1, 5), (1, 7), (1, 8)), 0.6)
    assert split.cases.targets.tolist() == [7]


def test_an_item_that_its_user_has_disliked_since_the_cut_is_not_asked_for():
    options = CaseOptions(EventRoles(target=frozenset({VIEW}), seen=frozenset({DISLIKE})))
    columns = events((1, 5), (1, 6), (1, 6), (1, 7), event_type=[VIEW, DISLIKE, VIEW, VIEW])
    assert newest(columns, 0.75, options).cases.targets.tolist() == [7]


def test_what_one_event_is_about_twice_is_asked_for():
    columns = events((1, 5), (1, 6), (1, 6))
    twice = replace(columns, position=np.array([1, 2, 2]))
    assert newest(twice, 0.5).cases.targets.tolist() == [6]


def test_newcomers_are_asked_only_on_demand():
    columns = events((1, 5), (1, 6), (2, 5), (1, 7))
    asked = [newest(columns, 0.5, CaseOptions(newcomers=n)).cases for n in (False, True)]
    assert [cases.user_keys.tolist() for cases in asked] == [[1], [1, 2]]
    assert asked[1].histories.mask.any(axis=1).tolist() == [True, False]


def test_only_target_types_are_asked_for():
    options = CaseOptions(EventRoles(target=frozenset({PURCHASE})))
    columns = events((1, 5), (1, 6), (1, 7), event_type=[VIEW, VIEW, PURCHASE])
    assert newest(columns, 0.67, options).cases.targets.tolist() == [7]


def test_histories_hold_the_newest_events_right_aligned():
    options = CaseOptions(history_length=3)
    columns = events((1, 5), (2, 9), (2, 8), (1, 6), (2, 7), (2, 6), (2, 5))
    histories = leave_one_out(columns, options).cases.histories
    assert histories.item_keys.tolist() == [[0, 0, 5], [8, 7, 6]]
    assert histories.age_seconds.tolist() == [[0, 0, 0], [3, 1, 0]]


def test_seen_items_are_no_candidates():
    assert rank(events((1, 5), (1, 6), (1, 7)), fixed(i5=9.0, i6=8.0, i7=1.0)) == 1


def test_what_ties_could_have_any_rank_of_the_tie():
    columns = events((1, 5), (2, 1), (2, 2), (2, 3), (2, 4), (2, 5), (1, 6))
    scorer = fixed(i1=1, i2=2, i3=1, i4=1, i5=1, i6=1)
    ranks = judge(leave_one_out(columns).cases, {"it": scorer})["it"].ranks
    assert ranks[0].tolist() == [2, 5]  # behind 2, equal with 1, 3 and 4; 5 is seen


def test_a_target_the_scorer_does_not_know_ranks_last():
    assert rank(events((1, 5), (1, 6)), fixed(i5=1.0)) == 1
    columns = events((1, 5), (2, 7), (2, 8), (1, 6))
    found = judge(leave_one_out(columns).cases, {"it": fixed(i7=1.0)})["it"]
    assert found.ranks[0].tolist() == [3, 3]


def test_scorers_of_other_vocabularies_answer_the_same_questions():
    cases = leave_one_out(walks(n_items=20)).cases
    champion = ModelScorer(random_model(n_items=12))
    found = judge(cases, {"champion": champion, "candidate": most_popular(walks())})
    assert compare(found["candidate"], found["champion"]).n_users == found["champion"].n_users == 30


def test_a_scorer_that_gives_nan_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        rank(events((1, 5), (1, 6)), fixed(i6=np.nan))


def test_events_on_unknown_items_leave_the_history():
    scorer = ModelScorer(random_model(n_items=12))
    with_unknown = leave_one_out(events((1, 5), (1, 99), (1, 6))).cases.histories
    shortened = with_unknown.only(scorer.item_keys)
    assert shortened.item_keys[0, -2:].tolist() == [0, 5]
    assert np.array_equal(scorer(with_unknown), scorer(shortened))


def test_a_users_scores_do_not_depend_on_who_else_is_asked_and_how_long_their_histories_are():
    scorer = ModelScorer(random_model(n_items=12))
    pairs = [(user, 1 + (user + step) % 12) for user in range(1, 9) for step in range(1 + 5 * user % 7)]
    histories = Histories.of(by_user(events(*pairs)), np.arange(10, dtype=np.uint64), 9)
    together = scorer(histories)
    alone = np.concatenate([scorer(histories.take(slice(row, row + 1))) for row in range(10)])
    assert np.allclose(together, alone, atol=1e-5)


def test_most_popular_counts_events():
    scorer = most_popular(events((1, 5), (2, 5), (2, 6)))
    assert scorer(leave_one_out(walks(n_users=1)).cases.histories).tolist() == [[2.0, 1.0]]


def test_recent_popularity_halves_with_age():
    scorer = recently_popular(events((1, 5), (1, 6)), half_life_seconds=1.0)
    assert scorer(leave_one_out(walks(n_users=1)).cases.histories).tolist() == [[0.5, 1.0]]


def test_a_half_life_is_above_zero():
    with pytest.raises(ValueError, match="above 0"):
        recently_popular(walks(), half_life_seconds=0.0)
