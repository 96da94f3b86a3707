"""What passes is waited for, not for ever, and nothing else is."""

import pytest
from sqlalchemy.exc import ProgrammingError

from services.trainer.patience import StillAwayError, first_line, patiently
from shared.adapters.postgres.database import UNAVAILABLE


class Away:
    """Fails so many times before it answers."""

    def __init__(self, times: int, error: Exception) -> None:
        self.left, self.error = times, error

    async def __call__(self) -> str:
        self.left -= 1
        if self.left >= 0:
            raise self.error
        return "here"


async def test_what_comes_back_in_time_is_waited_for():
    assert await patiently(Away(1, OSError()), (OSError,), seconds=5.0) == "here"


async def test_what_stays_away_is_raised():
    with pytest.raises(StillAwayError, match="gone"):
        await patiently(Away(10**9, OSError("gone")), (OSError,), seconds=0.25)


async def test_other_errors_are_raised_at_once():
    action = Away(1, ValueError())
    with pytest.raises(ValueError):
        await patiently(action, (OSError,), seconds=60.0)
    assert action.left == 0


async def test_a_defect_of_a_statement_is_not_waited_for():
    action = Away(1, ProgrammingError("SELECT", {}, Exception("no such column")))
    with pytest.raises(ProgrammingError):
        await patiently(action, UNAVAILABLE, seconds=60.0)
    assert action.left == 0


def test_an_error_without_a_message_is_told_by_its_type():
    assert first_line(OSError("one\ntwo")) == "one"
    assert first_line(TimeoutError()) == "TimeoutError"
