"""One encoder, judged in several ways: learned once, so that what differs is the way and not the model."""

from __future__ import annotations

from collections.abc import Callable

from services.trainer.model.answering.scoring import Scorer
from services.trainer.model.contest.encoder_learners import EncoderLearner
from services.trainer.model.fitting.training import TrainedModel
from shared.domain.events.event_columns import EventColumns


class SharedLessons:
    """The model after each lesson, learned when the first of several contestants gets there.

    All of them are given the same lessons in the same order.
    """

    def __init__(self, learner: EncoderLearner) -> None:
        """learner: has learned nothing."""
        self._learner = learner
        self._models: list[TrainedModel] = []

    def model_after(self, lessons: int, columns: EventColumns) -> TrainedModel:
        """The model after so many lessons, of which ``columns`` is the last. Raises TrainingError."""
        if lessons > len(self._models):
            self._learner.learn(columns)
            self._models.append(self._learner.model)
        return self._models[lessons - 1]


class SharingLearner:
    """Learns with others, and answers in its own way."""

    def __init__(self, lessons: SharedLessons, way: Callable[[TrainedModel], Scorer]) -> None:
        """way: how a model is asked; made once for each model."""
        self._lessons, self._way = lessons, way
        self._learned = 0
        self._model: TrainedModel | None = None
        self._scorer: Scorer | None = None

    def learn(self, columns: EventColumns) -> None:
        """Takes the lesson, unless another one has. Raises TrainingError, and what the way raises."""
        self._learned += 1
        model = self._lessons.model_after(self._learned, columns)
        if model is not self._model:
            self._model, self._scorer = model, self._way(model)

    def scorer(self) -> Scorer:
        """The model as it was trained last, asked in this learner's way."""
        assert self._scorer is not None, "a scorer is asked for after the first events"
        return self._scorer
