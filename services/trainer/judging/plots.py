"""The table as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from services.trainer.model.protocols.scoreboard import COURSE_POINTS, Scoreboard, Standing

_BASELINE, _MODEL = "#9aa5b1", "#1f6feb"
_DOTS_PER_INCH = 120


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
    figure, axes = _figure(f"{board.protocol}: {board.questions:,} questions", height=1.2 + 0.4 * len(rows))
    figures = [each.overall.ndcg for each in rows]
    low = [max(each.value - each.low, 0.0) for each in figures]
    high = [max(each.high - each.value, 0.0) for each in figures]
    colours = [_BASELINE if each.baseline else _MODEL for each in rows]
    names = [_label(each) for each in rows]
    axes.barh(names, [each.value for each in figures], xerr=[low, high], color=colours, capsize=3)
    axes.set_xlabel(f"NDCG@{board.k}, {board.confidence:.0%} interval over users")
    return figure


def _segments(board: Scoreboard) -> Figure:
    """A group of bars for each segment."""
    rows = board.standings
    names = list(rows[0].segments) if rows else []
    figure, axes = _figure(f"{board.protocol}: by segment", height=4.5)
    place, width = np.arange(len(names)), 0.8 / max(len(rows), 1)
    for index, row in enumerate(rows):
        heights = [row.segments[name].ndcg.value for name in names]
        axes.bar(place + index * width, heights, width, label=_label(row))
    questions = [rows[0].segments[name].questions for name in names] if rows else []
    labels = [f"{name}\n{count:,} questions" for name, count in zip(names, questions, strict=True)]
    axes.set_xticks(place + 0.4 - width / 2, labels)
    _finish(figure, axes, board.k)
    return figure


def _course(board: Scoreboard) -> Figure:
    """A line for each row, along the stream."""
    figure, axes = _figure(f"{board.protocol}: along the stream", height=4.5)
    for row in board.standings:
        if row.course:
            share = (np.arange(len(row.course)) + 0.5) / len(row.course)
            axes.plot(share, row.course, label=_label(row), linestyle="--" if row.baseline else "-")
    axes.set_xlabel(f"share of the questions so far, in {COURSE_POINTS} stretches")
    _finish(figure, axes, board.k)
    return figure


def _finish(figure: Figure, axes: Axes, k: int) -> None:
    axes.set_ylabel(f"NDCG@{k}")
    axes.set_ylim(bottom=0.0)
    figure.legend(fontsize="small", loc="outside right upper")


def _figure(title: str, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9.0, height), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    return figure, axes


def _label(row: Standing) -> str:
    parts: Sequence[str] = (row.name, row.mode) if row.mode else (row.name,)
    return ", ".join(parts)
