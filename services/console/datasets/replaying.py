"""Sending a data set to the log, in order, until it is folded."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, TypeVar

from rich.progress import Progress, TaskID

from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1.ingestion_pb2 import (
    WRITE_STATUS_ACCEPTED,
    WRITE_STATUS_DUPLICATE,
    WRITE_STATUS_REJECTED,
    WriteOutcome,
)
from services.console.datasets.dataset import Dataset, Interaction
from services.console.datasets.facts import catalogue_of, event_of, item_of
from services.console.output import Output
from services.console.waiting import Waiting
from shared.client import FailedPrecondition, FreshetClient, FreshetError
from shared.client.patience import PASSING, Patience, merge_tokens, write_all

BATCH_SIZE = 500
SHOWN_REJECTIONS = 5
_ANY_ITEM = "any"
T = TypeVar("T")


@dataclass(slots=True)
class Tally:
    """What became of facts, by status, with the first refusals in words."""

    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    rejections: list[str] = field(default_factory=list)

    def add(self, outcomes: Sequence[WriteOutcome]) -> None:
        """Counts outcomes."""
        counts = Counter(outcome.status for outcome in outcomes)
        self.accepted += counts[WRITE_STATUS_ACCEPTED]
        self.duplicate += counts[WRITE_STATUS_DUPLICATE]
        self.rejected += counts[WRITE_STATUS_REJECTED]
        refused = (outcome for outcome in outcomes if outcome.status == WRITE_STATUS_REJECTED)
        room = SHOWN_REJECTIONS - len(self.rejections)
        self.rejections += [_in_words(outcome) for outcome in islice(refused, room)]

    @property
    def total(self) -> int:
        """How many facts have an outcome."""
        return self.accepted + self.duplicate + self.rejected


@dataclass(slots=True)
class ReplayReport:
    """What a replay did. `write_seconds` runs until the last event is in the log, `fold_seconds` from there
    until its features reflect it."""

    items: Tally = field(default_factory=Tally)
    events: Tally = field(default_factory=Tally)
    write_seconds: float = 0.0
    fold_seconds: float = 0.0
    consistency_token: str = ""

    @property
    def events_per_second(self) -> float:
        """Events written in a second."""
        return self.events.total / self.write_seconds if self.write_seconds else 0.0

    def document(self) -> dict[str, Any]:
        """The report as JSON shows it."""
        return {**asdict(self), "events_per_second": self.events_per_second}


class Replay:
    """Sends one data set with one client. Failures that pass are waited out for `wait_seconds` each."""

    def __init__(self, client: FreshetClient, output: Output, wait_seconds: float) -> None:
        self._client, self._output = client, output
        self._patience = Patience(wait_seconds, self._failed)
        self._waiting = Waiting(output)

    async def run(self, dataset: Dataset, interactions: Sequence[Interaction]) -> ReplayReport:
        """Upserts the items, writes the interactions in this order, and returns once features reflect them.

        Raises FreshetError if a service stays away longer than the patience lasts.
        """
        report = ReplayReport()
        with self._output.progress("") as progress:
            await self._write_items(dataset, report, progress)
            await self._write_events(dataset.name, interactions, report, progress)
            if report.consistency_token:
                await self._wait_for_features(report, progress)
        return report

    async def _write_items(self, dataset: Dataset, report: ReplayReport, progress: Progress) -> None:
        items = [item_of(item) for item in catalogue_of(dataset)]
        bar = progress.add_task("items", total=len(items), detail="")
        for batch in batches(items, BATCH_SIZE):
            written = await write_all(self._client.upsert_items, batch, self._patience)
            report.items.add(written.outcomes)
            progress.advance(bar, len(batch))

    async def _write_events(
        self, dataset: str, interactions: Sequence[Interaction], report: ReplayReport, progress: Progress
    ) -> None:
        bar = progress.add_task("events", total=len(interactions), detail="")
        start = time.monotonic()
        for batch in batches(interactions, BATCH_SIZE):
            await self._write_batch([event_of(row, dataset) for row in batch], report)
            report.write_seconds = time.monotonic() - start
            self._draw(progress, bar, report)

    async def _write_batch(self, events: list[UserEvent], report: ReplayReport) -> None:
        written = await write_all(self._client.batch_write_user_events, events, self._patience)
        report.events.add(written.outcomes)
        report.consistency_token = merge_tokens(report.consistency_token, written.consistency_token)
        self._waiting.answered()

    def _draw(self, progress: Progress, bar: TaskID, report: ReplayReport) -> None:
        speed = f"{report.events_per_second:,.0f} events/s"
        progress.update(bar, completed=report.events.total, detail=speed)

    async def _wait_for_features(self, report: ReplayReport, progress: Progress) -> None:
        """Asks for an item, whichever: what is told of a user reflects the token for the user's partition alone."""
        progress.add_task("waiting for features", total=None, detail="")
        start = time.monotonic()
        await self._patience.until_answered(
            lambda: self._client.batch_get_item_features([_ANY_ITEM], report.consistency_token),
            passing=(*PASSING, FailedPrecondition),
        )
        report.fold_seconds = time.monotonic() - start

    def _failed(self, failure: FreshetError) -> None:
        if not isinstance(failure, FailedPrecondition):
            self._waiting.failed(failure)


def batches(facts: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The facts in consecutive pieces of `size`, the last one shorter."""
    for start in range(0, len(facts), size):
        yield facts[start : start + size]


def _in_words(outcome: WriteOutcome) -> str:
    return f"{outcome.id}: " + "; ".join(f"{v.field}: {v.description}" for v in outcome.violations)
