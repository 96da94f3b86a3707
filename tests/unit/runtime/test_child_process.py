"""What a process for one job is given of a machine that others work on."""

from __future__ import annotations

from shared.runtime.child_process import child_process


async def environment(threads: int = 1) -> list[int]:
    async with child_process("tests.unit.runtime.environment", b"job\n", threads) as child:
        lines = [int(await child.lines.readline()), int(await child.lines.readline())]
        assert await child.exit_code() == 0
    return lines


async def test_it_has_as_many_threads_as_it_is_told_that_spin_for_a_short_while(monkeypatch):
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    assert await environment(threads=3) == [3, 1_000]


async def test_how_long_threads_spin_is_the_environments_to_say(monkeypatch):
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert await environment() == [1, 7]
