"""Long work tells how far it has come also where no terminal shows a bar."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from services.console import progress_lines
from services.console.output import Output
from services.console.progress_lines import ProgressLines


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress_lines, "time", clock)
    return clock


@pytest.fixture
def shown() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def progress(clock, shown) -> ProgressLines:
    return ProgressLines("events", Console(file=shown, width=40))


def test_work_that_is_soon_done_says_nothing(clock, progress, shown):
    with progress:
        task = progress.add_task("replaying", total=10, detail="")
        clock.now = 29.9
        progress.update(task, completed=10)
    assert shown.getvalue() == ""


def test_long_work_tells_every_half_minute_how_far_it_is(clock, progress, shown):
    with progress:
        task = progress.add_task("replaying", total=1_000_000, detail="")
        for second in range(1, 62):
            clock.now = float(second)
            progress.advance(task, 1_000)
    assert shown.getvalue().splitlines() == [
        "replaying: 30,000 of 1,000,000 events",
        "replaying: 60,000 of 1,000,000 events",
    ]


def test_a_line_tells_the_stage_and_its_detail_and_is_not_broken(clock, progress, shown):
    with progress:
        task = progress.add_task("reading", total=None, detail="")
        clock.now = 30.0
        progress.update(
            task, description="training", completed=70, detail="loss 5.1234  3,000 examples/s  [b]"
        )
    assert shown.getvalue() == "training: 70 events  loss 5.1234  3,000 examples/s  [b]\n"


def test_where_stderr_is_no_terminal_output_gives_lines(monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "0")
    assert isinstance(Output(as_json=False).progress("events"), ProgressLines)


def test_where_stderr_is_a_terminal_output_gives_a_bar(monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    assert not isinstance(Output(as_json=False).progress("events"), ProgressLines)
