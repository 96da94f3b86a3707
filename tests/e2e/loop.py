"""The running suite with what the tests do to it and what they know of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from deploy.local.suite import Suite
from freshet.event.v1.event_pb2 import UserEvent
from freshet.feature.v1.feature_pb2 import GetUserFeaturesResponse
from freshet.ingestion.v1.ingestion_pb2 import (
    WRITE_STATUS_ACCEPTED,
    WRITE_STATUS_DUPLICATE,
    WriteOutcome,
    WriteStatus,
)
from freshet.ranking.v1.ranking_pb2 import DegradedReason, RecommendResponse
from freshet.trainer.v1.trainer_pb2 import TRAINING_STATE_FAILED, TRAINING_STATE_SUCCEEDED, TrainingRun
from shared.client import FailedPrecondition, FreshetClient
from shared.client.patience import PASSING, Patience, merge_tokens, write_all
from tests.conditions import eventually
from tests.e2e.facts import Facts

BATCH = 400
KILL_BATCH = 40
AWAY_SECONDS = 40.0
ACKNOWLEDGED = (WRITE_STATUS_ACCEPTED, WRITE_STATUS_DUPLICATE)
_CARTED, _TAKEN_OUT = "add-to-cart", "remove-from-cart"


@dataclass
class Loop:
    """acknowledged: events by id that a door has said yes to. token: covers them all."""

    suite: Suite
    client: FreshetClient
    facts: Facts
    acknowledged: dict[str, UserEvent] = field(default_factory=dict)
    token: str = ""

    async def stock(self) -> None:
        """Send all items."""
        for start in range(0, len(self.facts.items), BATCH):
            await write_all(
                self.client.upsert_items, self.facts.items[start : start + BATCH], Patience(AWAY_SECONDS)
            )

    async def replay(self, events: Sequence[UserEvent], batch: int = BATCH) -> list[WriteOutcome]:
        """Send events in order, waiting out whatever is away."""
        outcomes: list[WriteOutcome] = []
        for start in range(0, len(events), batch):
            some = events[start : start + batch]
            written = await write_all(self.client.batch_write_user_events, some, Patience(AWAY_SECONDS))
            self._note(some, written.outcomes)
            self.token = merge_tokens(self.token, written.consistency_token)
            outcomes += written.outcomes
        return outcomes

    async def write(self, event: UserEvent) -> str:
        """Send one event and return the token of its acknowledgement alone."""
        written = await self.client.write_user_event(event)
        self.acknowledged[event.event_id] = event
        self.token = merge_tokens(self.token, written.consistency_token)
        return written.consistency_token

    def _note(self, events: Sequence[UserEvent], outcomes: Sequence[WriteOutcome]) -> None:
        for event, outcome in zip(events, outcomes, strict=True):
            if outcome.status in ACKNOWLEDGED:
                self.acknowledged[event.event_id] = event

    async def replay_with_a_kill(self, service: str, events: Sequence[UserEvent]) -> None:
        """Send events; kill the service (SIGKILL) on the way and start it again."""
        before = len(self.acknowledged)
        replay = asyncio.create_task(self.replay(events, KILL_BATCH))
        await eventually(lambda: len(self.acknowledged) > before)
        assert not replay.done(), "the replay was over before the kill"
        await self.suite.kill(service)
        await self.suite.start(service)
        await replay

    async def features(self, user_id: str) -> GetUserFeaturesResponse:
        """What is folded of a user, once it reflects all that was acknowledged; without the token."""
        features = await Patience(AWAY_SECONDS).until_answered(
            lambda: self.client.get_user_features(user_id, self.token), (*PASSING, FailedPrecondition)
        )
        features.consistency_token = ""
        return features

    async def user_counts(self) -> dict[str, dict[str, int]]:
        """Events by type of every user, as the feature service says."""
        users = dict.fromkeys(event.user_id for event in self.acknowledged.values())
        return {user: dict((await self.features(user)).event_counts) for user in users}

    def acknowledged_user_counts(self) -> dict[str, dict[str, int]]:
        """The same, as the acknowledgements say."""
        counts: dict[str, Counter[str]] = {}
        for event in self.acknowledged.values():
            counts.setdefault(event.user_id, Counter())[event.event_type] += 1
        for user, _ in self._carted_and_taken_out():
            counts[user][_CARTED] -= 1
        return {user: dict(+of_user) for user, of_user in counts.items()}

    async def item_counts(self) -> dict[str, dict[str, int]]:
        """Events by type of every item, as the feature service says."""
        ids = list(self.acknowledged_item_counts())
        counts: dict[str, dict[str, int]] = {}
        for start in range(0, len(ids), 1000):
            answer = await self.client.batch_get_item_features(ids[start : start + 1000], self.token)
            counts |= {each.item_id: dict(each.event_counts) for each in answer.item_features}
        return counts

    def acknowledged_item_counts(self) -> dict[str, dict[str, int]]:
        """The same, as the acknowledgements say."""
        counts: dict[str, Counter[str]] = {}
        for event in self.acknowledged.values():
            for item in event.items:
                counts.setdefault(item.item_id, Counter())[event.event_type] += 1
        for _, item_id in self._carted_and_taken_out():
            counts[item_id][_CARTED] -= 1
        return {item: dict(+of_item) for item, of_item in counts.items()}

    def _carted_and_taken_out(self) -> list[tuple[str, str]]:
        """Users and items, once for each time that an item left a cart it was in: that takes the putting in back."""
        carts: Counter[tuple[str, str]] = Counter()
        taken_out = []
        for event in self.acknowledged.values():
            for pair in ((event.user_id, item.item_id) for item in event.items):
                if event.event_type == _CARTED:
                    carts[pair] += 1
                elif event.event_type == _TAKEN_OUT and carts[pair]:
                    carts[pair] -= 1
                    taken_out.append(pair)
        return taken_out

    async def train(self, max_minutes: float) -> TrainingRun:
        """A training run from start to end."""
        started = await self.client.start_training(max_minutes=max_minutes)
        return await eventually(lambda: self._ended(started.run.run_id), timeout=120)

    async def _ended(self, run_id: str) -> TrainingRun | None:
        run = (await self.client.get_training_run(run_id)).run
        return run if run.state in (TRAINING_STATE_SUCCEEDED, TRAINING_STATE_FAILED) else None

    async def serving_version(self) -> str:
        """The model version in service; empty before there is one."""
        return (await self.client.get_model_status()).serving.model_version


def statuses(outcomes: Sequence[WriteOutcome]) -> set[str]:
    """Names of the statuses that occur."""
    return {WriteStatus.Name(outcome.status).removeprefix("WRITE_STATUS_") for outcome in outcomes}


def degraded(answer: RecommendResponse) -> list[str]:
    """Why the answer is not the best there could be, in words."""
    return [DegradedReason.Name(each).removeprefix("DEGRADED_REASON_") for each in answer.degraded]


def item_ids(answer: RecommendResponse) -> list[str]:
    """The items of an answer, the best first."""
    return [result.item_id for result in answer.results]
