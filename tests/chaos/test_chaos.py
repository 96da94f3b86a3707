"""A short kill test: what holds for fifty kills must hold for six."""

from __future__ import annotations

from tests.chaos.run import Run, run_chaos

SEED, KILLS, MINUTES = 3, 6, 0.4


async def test_after_six_kills_under_load_nothing_is_lost_or_doubled_and_nothing_is_left_behind(tmp_path):
    run = Run(SEED, KILLS)
    await run_chaos(run, MINUTES, tmp_path, print)
    assert [str(check) for check in run.checks if not check.holds] == []
