"""Test-then-learn: after a warm-up every event is first asked for and then learned from.

Prequential evaluation (Dawid 1984; Gama, Sebastião & Rodrigues 2013) judges what serving does: the history
grows with every event, and the model with the traffic. Three answers to every question tell what each is worth:

    continual  live history, the model goes on learning
    frozen     live history, the model of the warm-up
    stale      history and model of the warm-up

Continual - frozen is the gain of learning on, frozen - stale that of live histories. Excluded is in all three
what the user had seen just before the question, so they rank the same candidates.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from services.trainer.model.answering.answers import Answers, answer
from services.trainer.model.answering.evaluation import CaseOptions
from services.trainer.model.answering.stream import Stream
from services.trainer.model.mixing.learners import Unchanging
from services.trainer.model.protocols.outcome import (
    CONTINUAL,
    FROZEN,
    STALE,
    Contestant,
    Entry,
    OnAsked,
    Outcome,
    ignore_asked,
)
from services.trainer.model.protocols.segments import segments_of
from shared.domain.events.event_columns import EventColumns

PREQUENTIAL = "prequential"


@dataclass(frozen=True, slots=True)
class PrequentialOptions:
    """How the stream is gone through.

    Attributes:
        warm_up_events: learned before the first question.
        learn_every: events that are asked for before they are learned; 1 is test-then-learn to the letter.
            Histories are exact at every event whatever this is.
        case: roles and history length.
        k: cut-off of the lists.
    """

    warm_up_events: int
    learn_every: int = 256
    case: CaseOptions = field(default_factory=CaseOptions)
    k: int = 10

    def __post_init__(self) -> None:
        if self.learn_every < 1:
            raise ValueError(f"learn_every must be at least 1, got {self.learn_every}")


def prequential(
    columns: EventColumns,
    contestants: Sequence[Contestant],
    options: PrequentialOptions,
    on_asked: OnAsked = ignore_asked,
    askable: np.ndarray | None = None,
) -> Outcome:
    """All contestants' answers to every event after the warm-up.

    Args:
        columns: events in log order; see `in_random_order_of_ties` for logs whose order within a second means
            nothing.
        contestants: learners; what is `Unchanging` has no continual answers.
        options: warm-up, chunks and roles.
        on_asked: told after every chunk.
        askable: ``(N,) bool``, rows that may be asked for; the others are learned all the same. None for all.
    """
    stream = Stream(columns, options.warm_up_events, options.case, askable)
    entries = [_gone_through(stream, each, options, on_asked) for each in contestants]
    lengths, ages = stream.history_lengths(stream.asked), stream.item_ages(stream.asked)
    segments = segments_of(lengths, ages, options.case.history_length)
    users, items = stream.users(stream.asked), len(stream.catalogue)
    return Outcome(PREQUENTIAL, users, segments, items, len(stream.warm_up), entries)


def in_random_order_of_ties(columns: EventColumns, seed: int) -> EventColumns:
    """The events by time, those of one time in an order drawn by ``seed``; each row becomes an event of its own.

    For data sets whose order within a second is no order of events, such as a page of ratings that was sent at
    once and stored by item. Where times are more precise than seconds, they tell the order.
    """
    drawn = np.random.default_rng(seed).random(len(columns))
    order = np.lexsort((drawn, columns.time_ms))
    moved = ("user_key", "item_key", "event_type", "time_ms", "value")
    numbered = np.arange(1, len(columns) + 1)
    return EventColumns(numbered, *(getattr(columns, name)[order] for name in moved))


def _gone_through(
    stream: Stream, contestant: Contestant, options: PrequentialOptions, on_asked: OnAsked
) -> Entry:
    run = _Run(stream, contestant, options.k)
    asked = 0
    for first, last in stream.chunks(options.learn_every):
        questions = stream.questions(first, last)
        run.ask(questions)
        if last < stream.end:
            run.learn(stream.rows(first, last))
        asked += len(questions)
        on_asked(contestant.name, asked, len(stream.asked))
    return run.entry()


class _Run:
    """One contestant on its way through the stream."""

    def __init__(self, stream: Stream, contestant: Contestant, k: int) -> None:
        self._stream, self._k = stream, k
        self._entry = Entry(contestant)
        self._learner = contestant.make()
        self._learns = not isinstance(self._learner, Unchanging)
        self._parts: dict[str, list[Answers]] = {mode: [] for mode in self._modes()}
        self.learn(stream.warm_up)
        scorer = self._learner.scorer()
        self._frozen = copy.deepcopy(scorer) if self._learns else scorer

    def _modes(self) -> tuple[str, ...]:
        return (CONTINUAL, FROZEN, STALE) if self._learns else (FROZEN, STALE)

    def learn(self, columns: EventColumns) -> None:
        started = time.perf_counter()
        self._learner.learn(columns)
        self._entry.learning_seconds += time.perf_counter() - started

    def ask(self, asked: np.ndarray) -> None:
        started = time.perf_counter()
        live = self._stream.cases(asked)
        stale = replace(live, histories=self._stream.stale_histories(asked))
        for mode, parts in self._parts.items():
            scorer = self._learner.scorer() if mode == CONTINUAL else self._frozen
            parts.append(answer(stale if mode == STALE else live, scorer, self._k))
        self._entry.answering_seconds += time.perf_counter() - started

    def entry(self) -> Entry:
        for mode, parts in self._parts.items():
            self._entry.answers[mode] = Answers(
                np.concatenate([part.ranks for part in parts] or [np.empty((0, 2), np.int64)]),
                np.concatenate([part.top for part in parts] or [np.empty((0, self._k), np.int64)]),
            )
        return self._entry
