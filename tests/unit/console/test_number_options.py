"""Numbers as options, as typed: what no machine word or no range holds is wrong usage that names the option."""

import pytest

from tests.unit.console.conftest import freshet

TOO_LARGE = 2**63


@pytest.mark.parametrize(
    "option, protocol",
    [("--seed", "temporal"), ("--warm-up", "prequential"), ("--learn-every", "prequential")],
)
def test_evaluate_refuses_whole_numbers_of_more_than_64_bits(films, option, protocol):
    result = freshet("evaluate", "--data", films, "--protocol", protocol, option, TOO_LARGE)
    told = f"Invalid value for '{option}': {TOO_LARGE} is too large"
    assert (result.exit_code, told in result.stderr) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--minutes", "nan"),
        ("--minutes", "inf"),
        ("--live", "--minutes", "nan"),
        ("--protocol", "temporal", "--held-out-share", "nan"),
    ],
)
def test_evaluate_refuses_numbers_that_are_not_finite(films, arguments):
    result = freshet("evaluate", "--data", films, *arguments)
    option, number = arguments[-2:]
    assert (result.exit_code, f"Invalid value for '{option}': {number} is not" in result.stderr) == (2, True)


def test_more_minutes_than_the_trainer_takes_are_refused_before_anything_is_replayed(films):
    result = freshet("evaluate", "--data", films, "--live", "--minutes", 1441)
    assert (result.exit_code, "--minutes with --live must be at most 1,440" in result.stderr) == (2, True)


@pytest.mark.parametrize("option", ["--events", "--shoppers", "--items", "--seed"])
def test_simulate_refuses_whole_numbers_of_more_than_64_bits(tmp_path, option):
    result = freshet("simulate", tmp_path / "shop", option, TOO_LARGE)
    assert (result.exit_code, f"Invalid value for '{option}'" in result.stderr) == (2, True)


@pytest.mark.parametrize("option", ["--taste-shift", "--new-items"])
def test_simulate_refuses_shares_that_are_no_number(tmp_path, option):
    result = freshet("simulate", tmp_path / "shop", option, "nan")
    assert (result.exit_code, f"Invalid value for '{option}': nan is not" in result.stderr) == (2, True)


def test_a_run_of_no_finite_time_is_refused(services):
    result = freshet("train", "--max-minutes", "inf")
    assert (result.exit_code, "Invalid value for '--max-minutes': inf is not" in result.stderr) == (2, True)


def test_a_wait_of_no_finite_time_is_refused(films):
    result = freshet("replay", films, "--wait-seconds", "nan")
    assert (result.exit_code, "Invalid value for '--wait-seconds': nan is not" in result.stderr) == (2, True)
