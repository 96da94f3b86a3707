"""Who is judged: the baselines, and encoders by name and size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from services.trainer.model.encoder import EncoderConfig
from services.trainer.model.learners import BASELINES, EncoderLearner
from services.trainer.model.plan import OnProgress, TrainingPlan
from services.trainer.model.protocols.outcome import Contestant
from services.trainer.model.sequences import EventRoles

ENCODERS: dict[str, dict[str, EncoderConfig]] = {
    "transformer": {
        "small": EncoderConfig(d_model=32, feed_forward=128),
        "base": EncoderConfig(),
        "large": EncoderConfig(d_model=128, blocks=2, heads=4, feed_forward=512),
    },
}
"""Shapes by encoder and preset. A new encoder is one line here."""

ALL, NONE = "all", "none"


class UnknownContestant(ValueError):
    """There is no such encoder or preset; the message names the option and what there is."""


def encoder_config(encoder: str, preset: str) -> EncoderConfig:
    """The shape of an encoder. Raises UnknownContestant."""
    if encoder not in ENCODERS:
        known = ", ".join([*ENCODERS, ALL, NONE])
        raise UnknownContestant(f"--encoder {encoder}: there is no such encoder; choose of {known}")
    if preset not in ENCODERS[encoder]:
        known = ", ".join(ENCODERS[encoder])
        raise UnknownContestant(f"--preset {preset}: {encoder} has none of that name; choose of {known}")
    return ENCODERS[encoder][preset]


def encoders_named(names: Sequence[str]) -> list[str]:
    """The names, "all" for every encoder and "none" for no one, each once."""
    if ALL in names:
        return list(ENCODERS)
    return list(dict.fromkeys(name for name in names if name != NONE))


def baselines(roles: EventRoles) -> list[Contestant]:
    """All of them."""
    return [Contestant(name, partial(make, roles), baseline=True) for name, make in BASELINES.items()]


def encoder(
    name: str, plan: TrainingPlan, continue_every: int, on_progress: Callable[[str], OnProgress]
) -> Contestant:
    """An encoder that is trained by the plan.

    Args:
        name: as the table shows it.
        plan: with its shape.
        continue_every: events between two continuations.
        on_progress: gives what is told of its training, by name.
    """
    return Contestant(name, partial(EncoderLearner, plan, continue_every, on_progress(name)))
