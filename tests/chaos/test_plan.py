"""A plan of faults follows from its seed, and spares nobody."""

from __future__ import annotations

from collections import Counter

from hypothesis import example, given
from hypothesis import strategies as st

from tests.chaos.plan import TARGETS, make_plan

seeds, kills = st.integers(0, 10**6), st.integers(1, 200)


@given(seeds, kills)
def test_the_same_seed_gives_the_same_plan(seed, kills):
    assert make_plan(seed, kills, 600) == make_plan(seed, kills, 600)


@given(seeds, kills)
def test_all_processes_are_killed_as_often_but_for_one(seed, kills):
    killed = Counter(fault.target for fault in make_plan(seed, kills, 600) if fault.kind == "kill")
    assert killed.total() == kills
    assert max(killed.values()) - min(killed[target] for target in TARGETS) <= 1


@given(seeds, kills, st.floats(10, 600))
@example(323, 1, 10.0)  # three pauses come before the only kill
def test_faults_begin_within_the_time_there_is(seed, kills, seconds):
    assert sum(fault.gap_seconds for fault in make_plan(seed, kills, seconds)) <= seconds
