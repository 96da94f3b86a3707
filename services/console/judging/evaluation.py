"""Judging the running system by what it answers: replay, train, and ask for every user."""

import asyncio
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from freshet.ranking.v1.ranking_pb2 import DegradedReason, RecommendResponse
from freshet.trainer.v1.trainer_pb2 import TRAINING_STATE_SUCCEEDED, TrainingRun
from services.console.datasets.dataset import Dataset, Interaction
from services.console.datasets.facts import catalogue_of, leave_one_out, side_by_side
from services.console.datasets.replaying import Replay, ReplayReport
from services.console.failures import CommandFailed
from services.console.judging.judged_lists import PAGE_SIZE, Metrics, judge, lead, popular_lists, worth_asking
from services.console.models.train import start
from services.console.models.training import draw_to_end, seconds_of
from services.console.output import Output
from shared.client import FreshetClient
from shared.domain.metrics.ranking_metrics import PairedDifference

SERVE_SECONDS = 60.0
POLL_SECONDS = 0.1


class Asked(NamedTuple):
    """How to judge. minutes: the most for training. consuming: types of events after which a user has had the item.
    wanted: types of events that recommendations are for, as the trainer learns to predict them."""

    minutes: float
    consuming: frozenset[str]
    wanted: frozenset[str]


@dataclass(slots=True)
class Answers:
    """What `Recommend` said: a list for each user, how long each answer took, and what was less than best."""

    lists: dict[str, list[str]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    degraded: Counter[str] = field(default_factory=Counter)
    model_versions: Counter[str] = field(default_factory=Counter)

    def add(self, user: str, answer: RecommendResponse, seconds: float) -> None:
        """Notes one answer."""
        self.lists[user] = [result.item_id for result in answer.results]
        self.seconds.append(seconds)
        self.degraded.update(DegradedReason.Name(reason) for reason in answer.degraded)
        self.model_versions[answer.model_version] += 1

    def latency_ms(self, quantile: float) -> float:
        """A quantile of the time from the call to its answer, in milliseconds."""
        return float(1_000 * np.quantile(self.seconds, quantile))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was judged and how it came out. Latency is that of one call after the other."""

    dataset: str
    users: int
    catalogue_items: int
    training_events: int
    model: Metrics
    popular: Metrics
    model_version: str
    training_seconds: float
    recommend_p50_ms: float
    recommend_p99_ms: float
    replay_events_per_second: float
    degraded_answers: dict[str, int]
    model_versions: dict[str, int]
    gate: str
    history_length: int | None = None
    """Events of a history; None: as the running suite has been told."""
    lead: PairedDifference | None = None
    """Of the model over the most popular items, in NDCG@10."""

    def document(self) -> dict[str, Any]:
        """The evaluation as JSON shows it."""
        return {"protocol": "leave-one-out", **asdict(self)}


async def evaluate_live(
    client: FreshetClient, dataset: Dataset, asked: Asked, wait_seconds: float, output: Output
) -> Evaluation:
    """Replays all but each user's last event, trains, and judges what `Recommend` answers to those whose last event can
    be asked for.

    Raises CommandFailed if there is nothing to ask for, or no model in the end, FreshetError if a service fails.
    """
    kept, last = leave_one_out(dataset.interactions)
    held_out = worth_asking(last, kept, asked.wanted, asked.consuming)
    if not held_out:
        raise CommandFailed(
            "no last event is one that recommendations are for, about an item new to its user"
        )
    report = await Replay(client, output, wait_seconds).run(dataset, side_by_side(kept))
    if report.events.rejected:
        raise CommandFailed(f"{report.events.rejected} events were refused: {report.events.rejections[0]}")
    run = await draw_to_end(client, await start(client, max_minutes=asked.minutes), output, wait_seconds)
    await until_served(client, run)
    answers = await ask_all(client, list(held_out), report.consistency_token, output)
    popular = popular_lists(kept, held_out, asked.wanted, asked.consuming)
    return _evaluation(dataset, (kept, held_out), answers, popular, (report, run))


async def until_served(client: FreshetClient, run: TrainingRun) -> None:
    """Returns once ranking serves the model of a run. Raises CommandFailed if it never will."""
    if run.state != TRAINING_STATE_SUCCEEDED:
        raise CommandFailed(f"training run {run.run_id} failed: {run.error}")
    if not run.decision.promoted:
        raise CommandFailed(f"model {run.model_version} was not promoted: {run.decision.reason}")
    deadline = time.monotonic() + SERVE_SECONDS
    while (status := await client.get_model_status()).serving.model_version != run.model_version:
        refused = {model.model_version: model.reason for model in status.refused}
        if run.model_version in refused:
            raise CommandFailed(f"ranking refused model {run.model_version}: {refused[run.model_version]}")
        if time.monotonic() > deadline:
            raise CommandFailed(f"ranking does not serve model {run.model_version} after {SERVE_SECONDS:g} s")
        await asyncio.sleep(POLL_SECONDS)


async def ask_all(client: FreshetClient, users: list[str], token: str, output: Output) -> Answers:
    """Asks for each user's recommendations, one call after the other."""
    answers = Answers()
    with output.progress("users") as progress:
        bar = progress.add_task("recommending", total=len(users), detail="")
        for user in users:
            began = time.perf_counter()
            answer = await client.recommend(user, page_size=PAGE_SIZE, min_consistency_token=token)
            answers.add(user, answer, time.perf_counter() - began)
            progress.advance(bar)
    return answers


def _evaluation(
    dataset: Dataset,
    split: tuple[list[Interaction], dict[str, Interaction]],
    answers: Answers,
    popular: dict[str, list[str]],
    done: tuple[ReplayReport, TrainingRun],
) -> Evaluation:
    (kept, held_out), (report, run) = split, done
    catalogue = [item.item for item in catalogue_of(dataset)]
    return Evaluation(
        dataset=dataset.name,
        users=len(held_out),
        catalogue_items=len(catalogue),
        training_events=len(kept),
        model=judge(answers.lists, held_out, catalogue),
        popular=judge(popular, held_out, catalogue),
        model_version=run.model_version,
        training_seconds=seconds_of(run),
        recommend_p50_ms=answers.latency_ms(0.5),
        recommend_p99_ms=answers.latency_ms(0.99),
        replay_events_per_second=report.events_per_second,
        degraded_answers=dict(answers.degraded),
        model_versions=dict(answers.model_versions),
        gate=run.decision.reason,
        lead=lead(answers.lists, popular, held_out),
    )
