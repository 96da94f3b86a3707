"""Who is judged: baselines, and encoders by name and size, alone or mixed with rules and EASE as they are served."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from services.trainer.model.answering.scoring import ModelScorer
from services.trainer.model.contest.contestant_names import IN_INT8, WITH_RULES, check_preset, kind_of
from services.trainer.model.contest.encoder_learners import EncoderLearner, MixedLearner
from services.trainer.model.contest.shared_lessons import SharedLessons, SharingLearner
from services.trainer.model.encoders.registry import config_of
from services.trainer.model.encoders.signature import EncoderConfig
from services.trainer.model.export.int8_scorer import int8_scorer
from services.trainer.model.fitting.callbacks import Callbacks
from services.trainer.model.fitting.plan import OnProgress, TrainingPlan
from services.trainer.model.mixing.learners import BASELINES, Learner, Recounted
from services.trainer.model.protocols.outcome import Contestant
from services.trainer.model.sequences import EventRoles


def encoder_config(encoder: str, preset: str) -> EncoderConfig:
    """The shape of an encoder, with or without rules. Raises UnknownContestant."""
    kind = kind_of(encoder)
    check_preset(preset)
    return config_of(kind, preset)


def baselines(roles: EventRoles, at_latest: int | None = None) -> list[Contestant]:
    """All of them. at_latest: events after which encoders go on, and with them the rules and EASE that they are mixed
    with: as baselines these are no older. None where nobody goes on."""

    def made(name: str) -> Learner:
        learner = BASELINES[name](roles)
        if isinstance(learner, Recounted):
            learner.at_latest = at_latest
        return learner

    return [Contestant(name, partial(made, name), baseline=True) for name in BASELINES]


def encoders(
    plans: Mapping[str, TrainingPlan], continue_every: int, on_progress: Callable[[str], OnProgress]
) -> list[Contestant]:
    """Encoders that are trained by their plans; one that is named in float32 and in int8 is trained once.

    Args:
        plans: with their shapes, by name as the table shows it; a name that ends in "+rules" is mixed with rules and
            EASE, in "+int8" quantised.
        continue_every: events between two continuations.
        on_progress: gives what is told of its training, by name.
    """
    lessons: dict[str, SharedLessons] = {}

    def alone(name: str) -> Learner:
        kind, plan = kind_of(name), plans[name]
        learner = EncoderLearner(plan, continue_every, Callbacks(on_progress(kind)))
        in_int8 = partial(int8_scorer, threads=plan.threads)
        return SharingLearner(
            lessons.setdefault(kind, SharedLessons(learner)),
            in_int8 if name.endswith(IN_INT8) else ModelScorer,
        )

    def mixed(name: str) -> Learner:
        return MixedLearner(plans[name], continue_every, Callbacks(on_progress(name)))

    return [Contestant(name, partial(mixed if name.endswith(WITH_RULES) else alone, name)) for name in plans]
