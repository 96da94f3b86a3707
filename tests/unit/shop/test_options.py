"""Numbers as options of `python -m deploy.local`: what makes no sense is wrong usage that names the option."""

import pytest
from click.testing import CliRunner

from deploy.local.__main__ import main


@pytest.fixture
def nothing_starts(monkeypatch):
    """A setting that would end the launcher right behind its options."""
    monkeypatch.setenv("FRESHET_NATS_PORT", "none")


@pytest.mark.parametrize(
    "option, number",
    [
        ("--duration", "nan"),
        ("--duration", "inf"),
        ("--events-per-second", "nan"),
        ("--seed", "-1"),
        ("--seed", str(2**63)),
        ("--warm-up-events", str(2**63)),
    ],
)
def test_a_number_that_makes_no_sense_is_refused_before_anything_starts(nothing_starts, option, number):
    result = CliRunner().invoke(main, [option, number])
    assert (result.exit_code, f"Invalid value for '{option}'" in result.stderr) == (2, True)
