"""When training stops, which weights it keeps, and how many passes are worth repeating."""

import math

import numpy as np
import torch

from services.trainer.model.fitting.averaging import AveragedWeights
from services.trainer.model.fitting.plan import PATIENCE, TrainingPlan
from services.trainer.model.fitting.plateau import Plateau, within_one_error


def after(*answers: object) -> Plateau:
    """A plateau that has been told so, pass by pass: what each question gained, or one number for a single one."""
    told = iter(np.atleast_1d(np.asarray(each, np.float64)) for each in answers)
    plateau = Plateau(AveragedWeights([torch.nn.Parameter(torch.zeros(1))]), lambda: next(told))
    for _ in answers:
        plateau.passed()
    return plateau


def test_it_is_reached_once_the_newest_passes_were_of_no_help():
    assert not after(1, 2, *[1] * (PATIENCE - 1)).reached
    assert after(1, 2, *[1] * PATIENCE).reached


def test_a_pass_that_is_worse_only_by_chance_is_still_good_but_not_the_best():
    by_chance = after([0, 0, 0, 0], [1, 0, 1, 0], [0, 1, 0.9, 0])
    assert (by_chance.best_pass, by_chance.last_good_pass) == (2, 3)


def test_a_pass_that_is_clearly_worse_is_not_good():
    clearly = after([0, 0, 0, 0], [1, 1, 1, 1], [0.9, 0.8, 0.9, 0.9])
    assert (clearly.best_pass, clearly.last_good_pass) == (2, 2)


def test_a_new_best_makes_its_own_pass_the_last_good_one():
    assert after([1, 0], [0.5, 0.4], [2, 2]).last_good_pass == 3


def test_equal_answers_are_within_an_error_and_a_single_worse_one_is_not():
    assert within_one_error(np.ones(3), np.ones(3))
    assert not within_one_error(np.zeros(1), np.ones(1))


def test_a_repeated_run_makes_some_more_passes_if_there_is_time_and_none_if_there_is_not_enough():
    plan = TrainingPlan(max_minutes=10.0, refit=1.5, continuation=0.2)  # 720 s in all
    repeated = [plan.refitted(20, seconds, 24 * seconds) for seconds in (1.0, 15.5, 20.0)]
    assert [each and each.epochs for each in repeated] == [30, 22, None]


def test_with_endless_time_a_repeated_run_makes_all_passes_that_help():
    plan = TrainingPlan(max_minutes=math.inf, refit=1.5)
    assert plan.refitted(20, 60.0, 1200.0).epochs == 30
