"""Gathers what a model card tells, and gives the documents of a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from services.trainer.cards.card_figures import Standings
from services.trainer.cards.model_card import CardFacts, Lesson, model_card
from services.trainer.model.fitting.plan import Progress
from services.trainer.model.fitting.training import TrainedModel
from services.trainer.model.mixing.mixture import MixedModel
from services.trainer.policies.gate import Evidence, decide
from services.trainer.processes.reports import Job
from services.trainer.revision import code_revision
from shared.adapters.codecs.bundle import CARD, CURVES
from shared.domain.events.event_columns import EventColumns

FIRST, SECOND = "all but the newest events", "all events"


def lessons_of(first: TrainedModel, second: TrainedModel) -> list[Lesson]:
    """Both schedules of a run, steps counted through."""
    steps = first.curve[-1].step if first.curve else 0
    return [
        Lesson(FIRST, _curve(first.curve), first.capped),
        Lesson(SECOND, _curve(second.curve, steps), second.capped),
    ]


def _curve(curve: Sequence[Progress], steps_before: int = 0) -> list[tuple[int, float]]:
    return [(each.step + steps_before, each.loss) for each in curve]


class CardWriter:
    """Writes the card of one run. judged: the standings on traffic later than what was learned first."""

    def __init__(self, job: Job, columns: EventColumns, standings: Standings, evidence: Evidence) -> None:
        self._job, self._columns = job, columns
        self._standings, self._evidence = standings, evidence

    def documents(
        self, mixed: MixedModel, lessons: Sequence[Lesson], continued_from: str = ""
    ) -> dict[str, bytes]:
        """The card and its picture, by the names of a bundle's files.

        continued_from: version of the model that training went on from; empty for none.
        """
        from services.trainer.cards.curves import curves_png  # matplotlib takes a second to load

        card = model_card(self._facts(mixed, lessons, continued_from))
        return {CARD: card.encode(), CURVES: curves_png(lessons)}

    def _facts(self, mixed: MixedModel, lessons: Sequence[Lesson], continued_from: str) -> CardFacts:
        model, columns = mixed.model, self._columns
        config = model.encoder.config
        return CardFacts(
            encoder=config.kind,
            shape=asdict(config),
            parameters=sum(each.numel() for each in model.encoder.parameters()),
            log_from=int(columns.position[0]),
            log_to=self._job.to_position,
            learned={
                "events": len(np.unique(columns.position)),
                "users": len(np.unique(columns.user_key)),
                "items": len(model.item_keys),
            },
            settings={"trained on from": continued_from or "nothing", **self._settings(mixed)},
            lessons=lessons,
            standings=self._standings,
            decision=decide(self._evidence, self._job.min_users),
        )

    def _settings(self, mixed: MixedModel) -> dict[str, object]:
        job = self._job
        return {
            "domain": job.domain,
            "history length": job.history_length,
            "loss": job.loss,
            "trimmed share": job.trim_share,
            "weight of sequence rules": mixed.mixture.weight,
            "weight of EASE": mixed.mixture.ease_weight,
            "seed": job.seed,
            "threads": job.threads,
            "code revision": code_revision(job.code_revision),
        }
