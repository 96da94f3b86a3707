"""The table as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from services.trainer.model.protocols.outcome import CONTINUAL, FROZEN, STALE
from services.trainer.model.protocols.scoreboard import COURSE_POINTS, Figures, Scoreboard, Standing

_BASELINE, _MODEL = "#9aa5b1", "#1f6feb"
_DOTS_PER_INCH = 120
Colour = tuple[float, float, float, float]
_STYLES: dict[str, Literal["-", "--", ":"]] = {CONTINUAL: "-", FROZEN: "--", STALE: ":"}


def draw(board: Scoreboard, directory: Path) -> list[Path]:
    """Writes the pictures, PNG, into a directory that is made if need be. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    pictures = {"comparison": _comparison(board), "segments": _segments(board)}
    if any(each.course for each in board.standings):
        pictures["course"] = _course(board)
    files = []
    for name, figure in pictures.items():
        files.append(directory / f"{name}.png")
        figure.savefig(files[-1], dpi=_DOTS_PER_INCH)
    return files


def _comparison(board: Scoreboard) -> Figure:
    """A bar for each row, with its interval, the best on top."""
    rows = sorted(board.standings, key=lambda each: each.overall.ndcg.value)
    figure, (axes,) = _figure(f"{board.protocol}: {board.questions:,} questions", _height(len(rows)))
    _bars(axes, rows, [each.overall for each in rows])
    axes.set_xlabel(_axis(board))
    return figure


def _segments(board: Scoreboard) -> Figure:
    """Bars as of the comparison, in the order of the table, beside each other for each segment that was asked for."""
    rows = board.standings[::-1]
    asked = [name for name, of in rows[0].segments.items() if of.questions] if rows else []
    title = f"{board.protocol}: by segment"
    figure, panels = _figure(
        title if asked else f"{title}: no questions", _height(len(rows)), max(len(asked), 1)
    )
    for axes, name in zip(panels, asked, strict=False):
        found = [each.segments[name] for each in rows]
        _bars(axes, rows, found)
        axes.set_title(f"{name}: {found[0].questions:,} questions", fontsize="medium")
    figure.supxlabel(_axis(board), fontsize="medium")
    return figure


def _axis(board: Scoreboard) -> str:
    return f"NDCG@{board.k}, {board.confidence:.0%} interval over users; grey: baselines"


def _bars(axes: Axes, rows: Sequence[Standing], found: Sequence[Figures]) -> None:
    """The first row is the lowest bar."""
    figures = [each.ndcg for each in found]
    low = [max(each.value - each.low, 0.0) for each in figures]
    high = [max(each.high - each.value, 0.0) for each in figures]
    colours = [_BASELINE if each.baseline else _MODEL for each in rows]
    names = [_label(each) for each in rows]
    axes.barh(names, [each.value for each in figures], xerr=[low, high], color=colours, capsize=3)
    axes.margins(y=0.01)


def _course(board: Scoreboard) -> Figure:
    """A line for each row, along the stream: whose by its colour, in which mode by its style."""
    rows = [row for row in board.standings if row.course]
    colours = _colours([row.name for row in rows])
    figure, (axes,) = _figure(f"{board.protocol}: along the stream", max(4.5, _height(len(colours))))
    for row in rows:
        share = (np.arange(len(row.course)) + 0.5) / len(row.course)
        axes.plot(share, row.course, color=colours[row.name], linestyle=_STYLES.get(row.mode, "-"))
    axes.set_xlabel(f"share of the questions so far, in {COURSE_POINTS} stretches")
    axes.set_ylabel(f"NDCG@{board.k}")
    axes.set_ylim(bottom=0.0)
    marks = [Line2D([], [], color=colour, label=name) for name, colour in colours.items()]
    modes = [mode for mode in _STYLES if any(row.mode == mode for row in rows)]
    marks += [Line2D([], [], color="black", linestyle=_STYLES[mode], label=mode) for mode in modes]
    figure.legend(handles=marks, fontsize="small", loc="outside right upper")
    return figure


def _colours(names: Sequence[str]) -> dict[str, Colour]:
    """One for each name; beyond twenty they are told apart no longer."""
    different = list(dict.fromkeys(names))
    palette = colormaps["tab10" if len(different) <= 10 else "tab20"]
    return {name: palette(number % palette.N) for number, name in enumerate(different)}


def _height(rows: int) -> float:
    """Inches that leave room for each row's name."""
    return 1.2 + 0.4 * rows


def _figure(title: str, height: float, panels: int = 1) -> tuple[Figure, list[Axes]]:
    """Panels beside each other, with the same names."""
    figure = Figure(figsize=(6.0 + 3.0 * panels, height), layout="constrained")
    figure.suptitle(title)
    return figure, list(figure.subplots(1, panels, sharey=True, squeeze=False)[0])


def _label(row: Standing) -> str:
    parts: Sequence[str] = (row.name, row.mode) if row.mode else (row.name,)
    return ", ".join(parts)
