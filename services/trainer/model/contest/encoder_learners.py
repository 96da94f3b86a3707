"""Encoders that learn on as the trainer does, alone or mixed with rules: the rules often, the encoder seldom."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from services.trainer.model.answering.evaluation import CaseOptions
from services.trainer.model.answering.scoring import ModelScorer, Scorer
from services.trainer.model.fitting.callbacks import NO_CALLBACKS, Callbacks
from services.trainer.model.fitting.plan import TrainingPlan
from services.trainer.model.fitting.training import TrainedModel, continue_training, train
from services.trainer.model.mixing.ease import EXACT_UP_TO, ease_every
from services.trainer.model.mixing.learners import Gathered
from services.trainer.model.mixing.mixture import (
    MixedModel,
    Validation,
    learn_experts,
    validation_of,
)
from services.trainer.model.mixing.rules import learn_rules, rules_every
from services.trainer.model.mixing.weighing import choose_mixture, chosen_anew
from shared.domain.events.event_columns import EventColumns
from shared.domain.models.mixture import Experts, Mixture

ENOUGH_CASES = 20
"""Questions about new events from which on their answers say when to stop."""


class EncoderLearner:
    """Learns for as long as that helps, then what told so, too; goes on whenever enough events have come."""

    def __init__(self, plan: TrainingPlan, continue_every: int, callbacks: Callbacks = NO_CALLBACKS) -> None:
        """continue_every: new events after which it goes on, over all events so far."""
        self._plan, self._continue_every, self._callbacks = plan, continue_every, callbacks
        self._events = Gathered()
        self._model: TrainedModel | None = None
        self._learned_to = 0

    def learn(self, columns: EventColumns) -> None:
        """Trains, or keeps the events until there are enough. Raises TrainingError."""
        self._events.add(columns)
        if self._model is None:
            begun, lesson = self._begun(self._events.all()), self._events.lesson()
            self._take(whole_lesson(begun, lesson, self._plan, self._callbacks), lesson)
        elif self._events.pending >= self._continue_every:
            self._go_on(self._model, self._events.lesson())

    @property
    def model(self) -> TrainedModel:
        """As it was trained last; nothing changes it later."""
        assert self._model is not None, "a model is asked for after the first events"
        return self._model

    def scorer(self) -> Scorer:
        """The model as it was trained last."""
        return ModelScorer(self.model)

    def _begun(self, columns: EventColumns) -> TrainedModel:
        return validated(columns, self._plan, self._callbacks)[0]

    def _go_on(self, model: TrainedModel, lesson: EventColumns) -> None:
        plan = self._plan.continued(self._learned_to)
        model = improved(model, lesson, plan, self._callbacks)
        self._take(continue_training(model, lesson, plan, self._callbacks), lesson)

    def _take(self, model: TrainedModel, lesson: EventColumns) -> None:
        self._model, self._learned_to = model, int(lesson.position[-1])


class MixedLearner(EncoderLearner):
    """Chooses the mixture on the last events of the first lesson, and anew on what came since whenever it trains.
    Counts the rules more often than that, and EASE as often as the cube of its items allows."""

    _mixture = Mixture()
    _experts = Experts()
    _taught = Experts()
    _uncounted = 0
    _unsolved = 0

    def learn(self, columns: EventColumns) -> None:
        """Trains, counts, or keeps the events until there are enough. Raises TrainingError."""
        self._uncounted += len(columns)
        self._unsolved += len(columns)
        super().learn(columns)
        if self._uncounted >= rules_every(self._events.count):
            self._count(self._events.all())

    def scorer(self) -> Scorer:
        """Model and rules as they are now."""
        return MixedModel(self.model, self._experts, self._mixture).scorer()

    def _begun(self, columns: EventColumns) -> TrainedModel:
        mixed = first_lesson(columns, self._plan, self._callbacks)
        self._mixture = mixed.mixture
        return mixed.model

    def _go_on(self, model: TrainedModel, lesson: EventColumns) -> None:
        options = CaseOptions(roles=self._plan.roles, history_length=self._plan.window, seed=self._plan.seed)
        served = MixedModel(model, self._taught, self._mixture)
        self._mixture = chosen_anew(served, lesson, self._learned_to, options)
        super()._go_on(model, lesson)

    def _take(self, model: TrainedModel, lesson: EventColumns) -> None:
        before = self._model
        super()._take(model, lesson)
        # Of few items EASE is solved at once, so that it knows what the model knows.
        if before is None or len(model.item_keys) <= EXACT_UP_TO:
            self._solve(model, lesson)
        else:
            self._move_ease(before.item_keys, model.item_keys)
            self._count(lesson)
        self._taught = self._experts

    def _move_ease(self, before: np.ndarray, now: np.ndarray) -> None:
        """From a table of the items ``before (V,)`` to that of ``now (W,)``, among which they are."""
        if self._experts.ease is not None:
            moved = self._experts.ease.moved(np.searchsorted(now, before), len(now))
            self._experts = replace(self._experts, ease=moved)

    def _count(self, columns: EventColumns) -> None:
        items = self.model.item_keys
        if self._unsolved >= ease_every(len(items)):
            return self._solve(self.model, columns)
        self._experts = replace(self._experts, sequence=learn_rules(columns, items, self._plan.roles))
        self._uncounted = 0

    def _solve(self, model: TrainedModel, columns: EventColumns) -> None:
        self._experts = learn_experts(columns, model.item_keys, self._plan.roles)
        self._uncounted = self._unsolved = 0


def validated(
    columns: EventColumns,
    plan: TrainingPlan,
    callbacks: Callbacks = NO_CALLBACKS,
    own: np.ndarray | None = None,
) -> tuple[TrainedModel, Validation]:
    """A model that has learned for as long as it got better at each user's last event, which it has not learned.

    own: as for `validation_of`. Raises TrainingError.
    """
    options = CaseOptions(roles=plan.roles, history_length=plan.window, seed=plan.seed)
    validation = validation_of(columns, options, own=own)
    judge = validation.judge if len(validation.cases) else None
    return train(validation.learn, plan, callbacks, judge), validation


def first_lesson(
    columns: EventColumns,
    plan: TrainingPlan,
    callbacks: Callbacks = NO_CALLBACKS,
    own: np.ndarray | None = None,
) -> MixedModel:
    """Model and rules, mixed by what answers best for each user's last event, which neither has learned.

    own: as for `validation_of`. Raises TrainingError.
    """
    model, validation = validated(columns, plan, callbacks, own)
    experts = learn_experts(validation.learn, model.item_keys, plan.roles)
    mixture = choose_mixture(validation.cases, ModelScorer(model), experts, plan.roles.target or frozenset())
    return MixedModel(model, experts, mixture)


def whole_lesson(
    model: TrainedModel,
    columns: EventColumns,
    plan: TrainingPlan,
    callbacks: Callbacks = NO_CALLBACKS,
) -> TrainedModel:
    """What has learned all of ``columns``, of which `validated` has kept some from ``model``.

    Decision: made anew, with as many passes as were found to help and some more: a model that only goes on over what it
    knows by heart takes in less of what is new (MovieLens 100k, five seeds: 0.130 against 0.125 NDCG@10, mixed with
    rules). Where the time allowed does not reach for that, `model` goes on.

    plan: `model` was trained by it; where its time decided what was made, the model is `capped`. Raises TrainingError.
    """
    judged = model.pass_seconds > 0 and not model.capped
    again = plan.refitted(model.passes, model.pass_seconds, model.seconds) if judged else None
    if again is None:
        whole = continue_training(model, columns, plan.continued(), callbacks)
    else:
        whole = train(columns, again, callbacks)
    shortened = judged and (again is None or again.epochs < plan.refit_passes(model.passes))
    return replace(whole, capped=whole.capped or shortened)


def improved(
    model: TrainedModel,
    columns: EventColumns,
    plan: TrainingPlan,
    callbacks: Callbacks = NO_CALLBACKS,
    own: np.ndarray | None = None,
) -> TrainedModel:
    """The model after what is new in ``columns``, learned with a replay of the rest for as long as answers to each
    user's last new event, which is kept from it, improve.

    plan: its `learned_to` says what is new. own: as for `validation_of`. Raises TrainingError.
    """
    options = CaseOptions(roles=plan.roles, history_length=plan.window, seed=plan.seed)
    validation = validation_of(columns, options, plan.learned_to, own)
    if len(validation.cases) < ENOUGH_CASES:
        return continue_training(model, columns, plan, callbacks)
    return continue_training(model, validation.learn, plan, callbacks, validation.judge)


def next_lesson(
    mixed: MixedModel,
    columns: EventColumns,
    plan: TrainingPlan,
    callbacks: Callbacks = NO_CALLBACKS,
) -> MixedModel:
    """The same mixture after all of ``columns``, what was kept from it before among them.

    plan: the mixture's model was trained by it; with `learned_to`, it has gone on from another one and goes on again.
    Raises TrainingError.
    """
    if plan.learned_to:
        model = continue_training(mixed.model, columns, plan, callbacks)
    else:
        model = whole_lesson(mixed.model, columns, plan, callbacks)
    return MixedModel(model, learn_experts(columns, model.item_keys, plan.roles), mixed.mixture)
