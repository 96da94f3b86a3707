"""Waiting for a service that is away, and writing many facts in spite of that."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import grpc

from freshet.ingestion.v1.ingestion_pb2 import WRITE_STATUS_UNAVAILABLE, WriteOutcome
from shared.client.errors import (
    DeadlineExceeded,
    Details,
    FreshetError,
    Origin,
    ResourceExhausted,
    Unavailable,
)
from shared.domain.consistency import decode_token, encode_token

T = TypeVar("T")
F = TypeVar("F")
PASSING = (Unavailable, DeadlineExceeded, ResourceExhausted)
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 2.0


class Patience:
    """How long to put up with failures that pass: `wait_seconds` from the last answer to giving up.

    `on_wait` hears of every failure that is waited out.
    """

    def __init__(self, wait_seconds: float, on_wait: Callable[[FreshetError], None] | None = None) -> None:
        self._wait_seconds, self._on_wait = wait_seconds, on_wait
        self._failing_since: float | None = None
        self._pause_seconds = FIRST_PAUSE_SECONDS

    async def until_answered(
        self, send: Callable[[], Awaitable[T]], passing: tuple[type[FreshetError], ...] = PASSING
    ) -> T:
        """Sends again and again until answered. Raises the last failure when the patience is used up."""
        while True:
            try:
                answer = await send()
            except passing as error:
                await self.pause(error)
            else:
                return answer

    async def pause(self, failure: FreshetError) -> None:
        """Waits a little longer than the last time. Raises `failure` when the patience is used up, or of no use."""
        now = time.monotonic()
        self._failing_since = now if self._failing_since is None else self._failing_since
        # Services that have too much to do say when to come back; gRPC, of a message that is too large, does not.
        hopeless = isinstance(failure, ResourceExhausted) and failure.retry_delay_seconds is None
        if hopeless or now - self._failing_since >= self._wait_seconds:
            raise failure
        if self._on_wait is not None:
            self._on_wait(failure)
        await asyncio.sleep(failure.retry_delay_seconds or self._pause_seconds)
        self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)

    def progressed(self) -> None:
        """Notes progress: the patience is fresh again."""
        self._failing_since, self._pause_seconds = None, FIRST_PAUSE_SECONDS


@dataclass(slots=True)
class Written:
    """What became of facts: an outcome for each, in order, and the token that covers them all."""

    outcomes: list[WriteOutcome]
    consistency_token: str = ""


async def write_all(
    send: Callable[[list[F]], Awaitable[Any]], facts: Sequence[F], patience: Patience
) -> Written:
    """Writes facts with `client.batch_write_user_events` or `client.upsert_items` until each has its outcome.

    Those that come back UNAVAILABLE are sent again, in their order and with their ids. Raises the last
    failure when the patience is used up.
    """
    outcomes = [WriteOutcome(status=WRITE_STATUS_UNAVAILABLE) for _ in facts]
    token, pending = "", list(range(len(facts)))
    while pending:
        chosen = [facts[index] for index in pending]
        response = await patience.until_answered(partial(send, chosen))
        for index, outcome in zip(pending, response.outcomes, strict=True):
            outcomes[index] = outcome
        token = merge_tokens(token, getattr(response, "consistency_token", ""))
        still = [index for index in pending if outcomes[index].status == WRITE_STATUS_UNAVAILABLE]
        if still:
            await patience.pause(_log_away())
        if len(still) < len(pending):
            patience.progressed()
        pending = still
    return Written(outcomes, token)


def merge_tokens(first: str, second: str) -> str:
    """A token that covers what both cover. Raises MalformedTokenError."""
    if not first or not second:
        return first or second
    positions = decode_token(first)
    for partition, position in decode_token(second).items():
        positions[partition] = max(position, positions.get(partition, 0))
    return encode_token(positions)


def _log_away() -> Unavailable:
    origin = Origin("ingestion", "", "write", "")
    details = Details(reason="LOG_UNAVAILABLE")
    return Unavailable(grpc.StatusCode.UNAVAILABLE, "ingestion does not reach the log", details, origin)
