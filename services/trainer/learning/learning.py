"""What the process that learns does: read, learn, be judged, learn the rest, pack."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from freshet.trainer.v1.trainer_pb2 import (
    TRAINING_STATE_JUDGING,
    TRAINING_STATE_PUBLISHING,
    TRAINING_STATE_TRAINING,
)
from services.trainer.cards.card_figures import standings
from services.trainer.cards.card_writing import CardWriter, lessons_of
from services.trainer.judging.judging import judge_candidate
from services.trainer.learning.job_clock import JobClock
from services.trainer.learning.packing import About, pack_model
from services.trainer.learning.warm_start import PASSES, Start, champion_gone_on, champion_start, weighed_anew
from services.trainer.model.answering.evaluation import CaseOptions
from services.trainer.model.behaviours.carrying_over import carried_over
from services.trainer.model.behaviours.lesson import Traffic, learn_behaviours
from services.trainer.model.contest.encoder_learners import first_lesson, next_lesson
from services.trainer.model.encoders.registry import config_of
from services.trainer.model.fitting.callbacks import Callbacks
from services.trainer.model.fitting.checkpoint import Checkpoints
from services.trainer.model.fitting.plan import OnProgress, Progress, TrainingPlan
from services.trainer.model.fitting.training import TrainedModel
from services.trainer.model.mixing.mixture import MixedModel
from services.trainer.policies.full_runs import CONTINUED
from services.trainer.processes.reports import Entered, Finished, Job, Learned, Read, Report
from services.trainer.reading.exposure_reading import kept_exposures
from services.trainer.reading.hold_out import HoldOutRule, hold_out
from services.trainer.reading.prompting import of_their_own, prompted
from services.trainer.revision import code_revision
from services.trainer.roles import roles_of
from shared.adapters.presets import load_preset
from shared.domain.events.event_columns import EventColumns
from shared.domain.presets.behaviours import objectives_of

_REPORT_SECONDS = 0.25
Tell = Callable[[Report], None]


def learn(columns: EventColumns, job: Job, tell: Tell, clock: JobClock | None = None) -> Finished:
    """A bundle of all that is in `columns`, judged before it learned the newest of them.

    clock: runs since before they were read; None: since now.

    Raises TrainingError when nothing can be learned, ExportError when the model cannot be served, DeviceMissing.
    """
    plan, clock = plan_of(job, len(columns)), clock or JobClock(job.max_minutes)
    tell(Read(len(np.unique(columns.position))))
    served = kept_exposures(Path(job.directory))
    held = hold_out(columns, _rule(job), _options(plan, job), served)
    tell(Entered(TRAINING_STATE_TRAINING))
    start, checkpoints = champion_start(job, plan), checkpoints_of(job)
    with clock.timed():
        if start:
            start = weighed_anew(start, held.train, plan, prompted(held.train, served))
        own = of_their_own(held.train, served)
        mixed = _candidate(start, held.train, plan, Callbacks(_telling(tell), checkpoints), own)
    tell(Entered(TRAINING_STATE_JUDGING))
    verdict = judge_candidate(mixed, held, plan.roles, job)
    card = CardWriter(job, columns, standings(held, verdict.judged, plan.roles), verdict.evidence)
    traffic = Traffic(columns, int(held.train.position.max(initial=0)), served.exposed)
    foretelling = learn_behaviours(mixed, traffic, objectives_of(load_preset(job.domain)), plan)
    tell(Entered(TRAINING_STATE_TRAINING))
    judged, first = mixed, mixed.model
    steps = first.curve[-1].step if first.curve else 0
    plan = second_plan(plan, clock, start, first)
    mixed = next_lesson(judged, columns, plan, Callbacks(_telling(tell, steps), checkpoints))
    foretelling = carried_over(foretelling, judged, mixed, traffic, plan)
    tell(Entered(TRAINING_STATE_PUBLISHING))
    metrics = {**verdict.metrics, **foretelling.metrics, **_facts(mixed)}
    metrics[CONTINUED], continued_from = (1.0, start.version) if start else (0.0, "")
    documents = card.documents(mixed, lessons_of(first, mixed.model), continued_from)
    about = About(metrics, int(columns.position[0]), continued_from, documents, foretelling)
    packed = pack_model(mixed, about, job)
    metrics |= packed.measured
    items = len(mixed.model.item_keys)
    made = (packed.digest, str(packed.file), items, metrics, verdict.evidence)
    return Finished(*made, job.champion_version, continued_from)


def _facts(mixed: MixedModel) -> dict[str, float]:
    """What the registry tells of a model beside how it was judged."""
    weights = {"rules_weight": mixed.mixture.weight, "ease_weight": mixed.mixture.ease_weight}
    return {**weights, PASSES: float(mixed.model.passes)}


def _candidate(
    start: Start | None,
    columns: EventColumns,
    plan: TrainingPlan,
    callbacks: Callbacks,
    own: np.ndarray,
) -> MixedModel:
    """What is judged: the champion gone on, or a model made anew."""
    if start is None:
        return first_lesson(columns, plan, callbacks, own)
    return champion_gone_on(start, columns, plan, callbacks, own)


def plan_of(job: Job, n_events: int) -> TrainingPlan:
    """What a job asks for, in the time it allows, with ``n_events`` events."""
    plan = TrainingPlan(
        encoder=config_of(job.encoder, job.preset).suited(n_events),
        roles=roles_of(load_preset(job.domain)),
        window=job.history_length,
        loss=job.loss,
        trim_share=job.trim_share,
        seed=job.seed,
        threads=job.threads,
        device=job.device,
        batch_tokens=job.batch_tokens,
    )
    return plan.within(job.max_minutes)


def second_plan(
    plan: TrainingPlan, clock: JobClock, start: Start | None, first: TrainedModel
) -> TrainingPlan:
    """Of the lesson over everything, in the time that is left. Gone on from a champion, everything behind it is new:
    also what the first lesson kept for answers on the way.

    plan: `first` was trained by it.
    """
    timed = clock.second_lesson(plan, first)
    return timed.continued(start.learned_to) if start else timed


def checkpoints_of(job: Job) -> Checkpoints | None:
    """Those in the job's directory, of this run, this part of the log and this code; None for none."""
    if not job.checkpoint_seconds:
        return None
    run = f"{job.run_id} {job.to_position} {code_revision(job.code_revision)}"
    return Checkpoints(Path(job.directory), job.checkpoint_seconds, run)


def accompany(columns: EventColumns, job: Job) -> None:
    """What the other ranks do while the first does `learn`: every lesson, nothing else. Raises as `learn`."""
    plan = plan_of(job, len(columns))
    served = kept_exposures(Path(job.directory))
    held = hold_out(columns, _rule(job), _options(plan, job), served)
    callbacks = Callbacks(checkpoints=checkpoints_of(job))
    mixed = first_lesson(held.train, plan, callbacks, of_their_own(held.train, served))
    plan = JobClock(job.max_minutes).second_lesson(plan, mixed.model)
    next_lesson(mixed, columns, plan, callbacks)


def _rule(job: Job) -> HoldOutRule:
    return HoldOutRule(job.hold_out_share, job.hold_out_rows, job.min_users, job.champion_position)


def _options(plan: TrainingPlan, job: Job) -> CaseOptions:
    return CaseOptions(roles=plan.roles, history_length=job.history_length, seed=job.seed)


def _telling(tell: Tell, steps_before: int = 0) -> OnProgress:
    """Passes progress on, at most four times a second, the last one always."""
    last = 0.0

    def on_progress(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if progress.step < progress.total_steps and now - last < _REPORT_SECONDS:
            return
        last = now
        tell(
            Learned(
                progress.step + steps_before,
                progress.total_steps + steps_before,
                progress.loss,
                progress.examples_per_second,
                progress.eta_seconds,
            )
        )

    return on_progress
