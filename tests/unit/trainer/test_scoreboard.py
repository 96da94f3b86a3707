"""Who is best, by how much, and whether a model beats the baselines."""

import numpy as np
import pytest

from services.trainer.model.answering.answers import Answers
from services.trainer.model.mixing.learners import Unchanging
from services.trainer.model.protocols.outcome import CONTINUAL, FROZEN, STALE, Contestant, Entry, Outcome
from services.trainer.model.protocols.scoreboard import (
    BEST_BASELINE,
    COURSE_POINTS,
    LEARNING_ON,
    LIVE_HISTORY,
    scoreboard,
)

QUESTIONS = 40


def entry(name: str, baseline: bool = False, **ranks: int) -> Entry:
    """Answers that give every question the same rank; "only" stands for the mode of a hold-out."""
    top = np.zeros((QUESTIONS, 2), np.int64)
    modes = {mode.replace("only", ""): rank for mode, rank in ranks.items()}
    answers = {mode: Answers(np.full((QUESTIONS, 2), rank), top) for mode, rank in modes.items()}
    return Entry(Contestant(name, lambda: Unchanging(None), baseline), answers)


def board(*entries: Entry, segment=None):
    """The scoreboard of questions to as many users."""
    segments = {} if segment is None else {"some": segment}
    return scoreboard(Outcome("temporal", np.arange(QUESTIONS), segments, 8, 100, list(entries)))


def test_figures_follow_from_ranks():
    (standing,) = board(entry("it", only=3)).standings
    figures = (standing.overall.ndcg, standing.overall.hit_rate, standing.overall.mrr)
    assert [each.value for each in figures] == pytest.approx([0.5, 1.0, 1 / 3])
    assert standing.overall.coverage.value == 1 / 8


def test_the_best_row_is_marked():
    found = board(entry("popular", True, only=3), entry("model", only=1))
    assert [each.name for each in found.standings if each.best] == ["model"]


def test_a_model_that_beats_the_best_baseline_says_by_how_much():
    found = board(entry("popular", True, only=11), entry("recent", True, only=3), entry("model", only=1))
    assert found.verdicts == ["model beats the best baseline, recent: NDCG@10 +0.5000 [+0.5000, +0.5000]"]


def test_a_model_that_does_worse_than_a_baseline_says_so():
    found = board(entry("popular", True, only=1), entry("model", only=3))
    assert found.verdicts[0].startswith("model does worse than the best baseline, popular: NDCG@10 -0.5000")


def test_a_model_that_is_level_does_not_clearly_beat():
    found = board(entry("popular", True, only=3), entry("model", only=3))
    assert found.verdicts[0].startswith("model does not clearly beat the best baseline")


@pytest.mark.parametrize(
    "users, words", [(1, "by 1 of the 6 users that it takes,"), (5, "by 5 of"), (6, "beats")]
)
def test_a_few_users_who_all_speak_for_a_model_may_do_so_by_chance(users, words):
    asked = np.arange(QUESTIONS) % users
    entries = [entry("popular", True, only=3), entry("model", only=1)]
    (verdict,) = scoreboard(Outcome("temporal", asked, {}, 8, 100, entries)).verdicts
    assert words in verdict and verdict.startswith("model beats") == (users == 6)


def test_modes_tell_what_live_histories_and_learning_on_are_worth():
    gains = {
        gain.of: gain.difference.value
        for gain in board(entry("it", True, continual=1, frozen=3, stale=11)).gains
    }
    assert gains == pytest.approx({LEARNING_ON: 0.5, LIVE_HISTORY: 0.5})


def test_a_model_is_compared_as_it_would_be_served():
    found = board(
        entry("popular", True, continual=3, frozen=11, stale=11), entry("m", continual=1, frozen=7, stale=7)
    )
    (lead,) = (gain for gain in found.gains if gain.of == BEST_BASELINE)
    assert lead.difference.value == pytest.approx(0.5)


def test_the_best_baseline_is_none_that_is_stale():
    found = board(entry("odd", True, frozen=3, stale=1), entry("model", frozen=1, stale=1))
    (lead,) = (gain for gain in found.gains if gain.of == BEST_BASELINE)
    assert lead.difference.value == pytest.approx(0.5)


def test_segments_have_figures_of_their_own():
    answers = entry("it", only=1)
    answers.answers[""].ranks[:10] = 11
    segment = np.arange(QUESTIONS) < 20
    (standing,) = board(answers, segment=segment).standings
    assert (standing.segments["some"].questions, standing.segments["some"].ndcg.value) == (20, 0.5)


def test_a_course_runs_along_the_questions():
    answers = entry("it", continual=1, frozen=1, stale=1)
    answers.answers[CONTINUAL].ranks[QUESTIONS // 2 :] = 11
    found = {each.mode: each.course for each in board(answers).standings}
    assert found[CONTINUAL] == [1.0] * (COURSE_POINTS // 2) + [0.0] * (COURSE_POINTS // 2)
    assert set(found[FROZEN] + found[STALE]) == {1.0}
