"""The course of the loss as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.figure import Figure

from services.trainer.cards.model_card import Lesson

_DOTS_PER_INCH = 100


def curves_png(lessons: Sequence[Lesson]) -> bytes:
    """A line for each lesson, as PNG: the same bytes for the same lessons, for no time and no version is in it."""
    figure = Figure(figsize=(7.0, 3.5), layout="constrained")
    axes = figure.subplots()
    for each in lessons:
        axes.plot([step for step, _ in each.curve], [loss for _, loss in each.curve], label=each.name)
    axes.set_xlabel("step")
    axes.set_ylabel("loss, nats")
    axes.set_title("training")
    axes.legend(fontsize="small")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()
