"""One run of so many begins anew."""

import pytest

from services.trainer.policies.full_runs import CONTINUED, full_is_due

ON, ANEW = {CONTINUED: 1.0}, {CONTINUED: 0.0}


@pytest.mark.parametrize(
    ("newest_first", "due"),
    [
        ([], False),
        ([ON, ANEW], False),
        ([ON, ON, ANEW], True),
        ([ANEW, ON, ON], False),
        ([{}, ON, ON], False),
    ],
)
def test_after_two_that_went_on_the_third_begins_anew(newest_first, due):
    assert full_is_due(newest_first, every=3) == due


def test_every_run_begins_anew_where_that_is_asked_for():
    assert full_is_due([], every=1)
