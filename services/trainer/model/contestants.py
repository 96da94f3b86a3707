"""Who is judged: baselines, and encoders by name and size, alone or mixed with rules and EASE as they are served."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from services.trainer.model.contestant_names import IN_INT8, WITH_RULES, check_preset, kind_of
from services.trainer.model.encoder_learners import EncoderLearner, MixedLearner
from services.trainer.model.encoders.registry import config_of
from services.trainer.model.encoders.signature import EncoderConfig
from services.trainer.model.int8_learner import Int8Learner
from services.trainer.model.learners import BASELINES
from services.trainer.model.plan import OnProgress, TrainingPlan
from services.trainer.model.protocols.outcome import Contestant
from services.trainer.model.sequences import EventRoles


def encoder_config(encoder: str, preset: str) -> EncoderConfig:
    """The shape of an encoder, with or without rules. Raises UnknownContestant."""
    kind = kind_of(encoder)
    check_preset(preset)
    return config_of(kind, preset)


def baselines(roles: EventRoles) -> list[Contestant]:
    """All of them."""
    return [Contestant(name, partial(make, roles), baseline=True) for name, make in BASELINES.items()]


_LEARNERS: dict[str, type[MixedLearner] | type[EncoderLearner]] = {
    WITH_RULES: MixedLearner,
    IN_INT8: Int8Learner,
}


def encoder(
    name: str, plan: TrainingPlan, continue_every: int, on_progress: Callable[[str], OnProgress]
) -> Contestant:
    """An encoder that is trained by the plan.

    Args:
        name: as the table shows it; one that ends in "+rules" is mixed with rules and EASE, in "+int8" quantised.
        plan: with its shape.
        continue_every: events between two continuations.
        on_progress: gives what is told of its training, by name.
    """
    learner = _LEARNERS.get(next((end for end in _LEARNERS if name.endswith(end)), ""), EncoderLearner)
    return Contestant(name, partial(learner, plan, continue_every, on_progress(name)))
