"""Pictures of a table, of everybody at once."""

import pytest
from matplotlib.figure import Figure

from services.trainer.judging import plots
from services.trainer.model.protocols.intervals import Estimate
from services.trainer.model.protocols.outcome import CONTINUAL, FROZEN, STALE
from services.trainer.model.protocols.scoreboard import Figures, Scoreboard, Standing

BASELINES = ("popular", "recently-popular", "rules", "ease")
ENCODERS = ("transformer", "hstu", "gru", "lstm", "cnn", "mf")

MODES = (CONTINUAL, FROZEN, STALE)
LABELS = [f"{name}, {mode}" for name in (*BASELINES, *ENCODERS) for mode in MODES]


def figures(questions=9):
    one = Estimate(0.5, 0.4, 0.6)
    return Figures(questions, one, one, one, one)


def board(names=(*BASELINES, *ENCODERS), asked=("new users", "new items")):
    segments = {
        name: figures(9 if name in asked else 0) for name in ("new users", "new items", "long histories")
    }
    standings = [
        Standing(name, mode, name in BASELINES, False, figures(), segments, [0.4, 0.5], 1.0, 1.0)
        for name in names
        for mode in MODES
    ]
    return Scoreboard("prequential", 10, 0.95, 9, 3, 7, 5, standings, gains=[], verdicts=[])


def test_in_the_picture_of_the_stream_every_line_is_told_from_all_others():
    names = [*BASELINES, *(name + also for name in ENCODERS for also in ("", "+rules"))]
    (axes,) = plots._course(board(names)).axes
    looks = {(line.get_color(), line.get_linestyle()) for line in axes.lines}
    assert len(looks) == len(axes.lines) == 3 * len(names)


def parts_beyond_the_edge(figure: Figure) -> list[str]:
    figure.draw_without_rendering()
    legends = [*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))]
    names = [tick for axes in figure.axes for tick in axes.get_yticklabels() if tick.get_text() in LABELS]
    extents = [(str(part), part.get_window_extent()) for part in (*legends, *names)]
    edge = figure.bbox.padded(1)
    return [
        name for name, at in extents if not (edge.containsy(at.y0) and edge.containsy(at.y1) and at.x0 >= -1)
    ]


@pytest.mark.parametrize("picture", [plots._comparison, plots._segments, plots._course])
def test_the_names_of_all_encoders_fit_into_every_picture(picture):
    assert parts_beyond_the_edge(picture(board())) == []


def test_segments_that_nobody_was_asked_of_are_left_out():
    panels = plots._segments(board(asked=("new items",))).axes
    assert [axes.get_title() for axes in panels] == ["new items: 9 questions"]


def test_without_any_segment_asked_of_the_picture_says_so():
    figure = plots._segments(board(asked=()))
    assert figure.get_suptitle() == "prequential: by segment: no questions"
