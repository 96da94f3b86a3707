"""What comes out of a group of tasks is what its caller looks for."""

from __future__ import annotations

import pytest

from shared.runtime.out_of_group import out_of_group


class Wanted(Exception):
    """What is looked for."""


def test_an_error_is_raised_by_itself_however_deep_its_group_lies():
    error = Wanted("here")
    with pytest.raises(Wanted) as found, out_of_group(Wanted):
        raise ExceptionGroup("outer", [ExceptionGroup("inner", [error]), ValueError()])
    assert found.value is error


def test_an_error_without_a_group_stays_as_it_is():
    with pytest.raises(Wanted, match="alone"), out_of_group(Wanted):
        raise Wanted("alone")


def test_groups_of_other_errors_stay_groups():
    with pytest.raises(ExceptionGroup), out_of_group(Wanted):
        raise ExceptionGroup("others", [ValueError()])
