"""Answers calls in batches: what waits while one batch is scored makes up the next. When no batch is
under way the next one starts at once, with a single call if need be.

Calls whose token is further than any state seen yet wait for the feature service in batches of their own, so that they
hold up nobody else.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict, deque
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from prometheus_client import Gauge, Histogram

from services.ranking.answers.answering import answers, cost
from services.ranking.answers.candidates import Candidates
from services.ranking.answers.policy import Answer, Fallback, Wish
from services.ranking.features.trending import Trending
from services.ranking.features.user_state import UserState
from services.ranking.features.user_states import UserStates
from services.ranking.model.model_slot import ModelSlot, ServingModel
from shared.adapters.jetstream.catalogue import Catalogue
from shared.runtime.errors import overloaded

BATCHES_AT_ONCE = 2
SAME_WAIT_SECONDS, SAME_WAIT_RATIO, SHORTEST_WAIT_SECONDS = 0.25, 1.25, 0.01
"""Calls whose waits are further apart than one of the first two wait apart: a group gives up when the first of it must,
which is no more than a fifth too early for anybody."""
SAME_POSITIONS = 10_000
"""Tokens further apart wait apart: each time one of a group is reached, the states of all who still wait are read."""
THREAD_FROM_SCORES = 200_000
"""From this many scores on a batch is scored in a thread, so that the event loop stays free."""
WAITING_CALLS = Gauge("freshet_recommend_waiting_calls", "Calls that wait for others, or for a position.")
BATCH_CALLS = Histogram(
    "freshet_recommend_batch_calls", "Calls scored together.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
)


class Limits(NamedTuple):
    """batch_calls: most calls scored together. max_waiting: calls that may wait; more are refused."""

    batch_calls: int
    max_waiting: int


@dataclass(slots=True)
class Call:
    """One call to answer. wait_seconds: how long it may wait for `min_position`."""

    user_key: int
    min_position: int
    wait_seconds: float
    wish: Wish | Candidates


@dataclass(slots=True)
class Served:
    """An answer and what it came from."""

    answer: Answer
    state: UserState
    model: ServingModel | None
    time_ms: int


@dataclass(slots=True, eq=False)
class _Waiting:
    call: Call
    done: asyncio.Future[Served]


class Recommender:
    """Batches calls, reads states, ranks."""

    def __init__(
        self,
        states: UserStates,
        trending: Trending,
        slot: ModelSlot,
        catalogue: Catalogue,
        limits: Limits,
    ) -> None:
        self._states = states
        self._trending = trending
        self._slot = slot
        self._catalogue = catalogue
        self._limits = limits
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._under_way = 0
        self._apart: set[asyncio.Task[None]] = set()
        self._calls_apart = 0
        WAITING_CALLS.set_function(self._number_waiting)

    async def recommend(self, call: Call) -> Served:
        """Answer one call. Raises Refusal RESOURCE_EXHAUSTED when too many wait. Who gives up waits no more: under
        more calls than can be answered, answers that nobody takes would leave no time for those that somebody does."""
        if (number := self._number_waiting()) >= self._limits.max_waiting:
            raise overloaded(f"{number} calls wait already")
        waiting = _Waiting(call, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._arrived.set()
        try:
            return await waiting.done
        except asyncio.CancelledError:
            with suppress(ValueError):  # its batch is under way
                self._waiting.remove(waiting)
            raise

    def _number_waiting(self) -> int:
        return len(self._waiting) + self._calls_apart

    async def run(self) -> None:
        """Answer what arrives until cancelled."""
        async with asyncio.TaskGroup() as batches:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while self._may_start():
                    self._start(batches)

    def _may_start(self) -> bool:
        """Beside a batch under way only a full one starts: small ones cost a read of states each."""
        enough = self._limits.batch_calls if self._under_way else 1
        return len(self._waiting) >= enough and self._under_way < BATCHES_AT_ONCE

    def _start(self, batches: asyncio.TaskGroup) -> None:
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._limits.batch_calls))]
        at_once = [each for each in batch if self._reflected(each.call)]
        if len(at_once) < len(batch):
            self._answer_apart([each for each in batch if not self._reflected(each.call)])
        if at_once:
            self._under_way += 1
            batches.create_task(self._answer(at_once, 0.0)).add_done_callback(self._ended)

    def _reflected(self, call: Call) -> bool:
        return self._states.reflects(call.user_key, call.min_position)

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._under_way -= 1
        self._arrived.set()

    def _answer_apart(self, batch: Sequence[_Waiting]) -> None:
        """Let calls wait together that may wait about as long, for about the same, and for one instance of the feature
        service, so that none gives up early or waits longer for another's sake."""
        groups: dict[Hashable, list[_Waiting]] = defaultdict(list)
        for each in batch:
            groups[self._kind(each.call)].append(each)
        for group in groups.values():
            self._calls_apart += len(group)
            task = asyncio.create_task(self._answer_waiting(group))
            self._apart.add(task)
            task.add_done_callback(self._apart.discard)

    def _kind(self, call: Call) -> Hashable:
        """Equal for calls that may wait together."""
        wait = max(call.wait_seconds, SHORTEST_WAIT_SECONDS)
        ratio = math.floor(math.log(wait, SAME_WAIT_RATIO))
        owner = self._states.owner_of(call.user_key)
        return owner, int(wait / SAME_WAIT_SECONDS), ratio, call.min_position // SAME_POSITIONS

    async def _answer_waiting(self, group: Sequence[_Waiting]) -> None:
        """Answer each as soon as its position is reached: what another asks for may never be."""
        wait_seconds = min(each.call.wait_seconds for each in group)
        until = time.monotonic() + wait_seconds
        try:
            while group:
                await self._answer(group, wait_seconds)
                left = [each for each in group if not each.done.done()]
                self._calls_apart -= len(group) - len(left)
                group, wait_seconds = left, max(0.0, until - time.monotonic())
        finally:
            self._calls_apart -= len(group)

    async def _answer(self, batch: Sequence[_Waiting], wait_seconds: float) -> None:
        try:
            ready = await self._ready(batch, wait_seconds)
            served = await self._serve([each.call for each, _ in ready], [state for _, state in ready])
        except Exception as error:  # whatever it is belongs to the callers, not to the loop
            for each in batch:
                if not each.done.done():
                    each.done.set_exception(error)
            return
        for (each, _), one in zip(ready, served, strict=True):
            if not each.done.done():
                each.done.set_result(one)

    async def _ready(
        self, batch: Sequence[_Waiting], wait_seconds: float
    ) -> list[tuple[_Waiting, UserState]]:
        """Those of a batch that need not go on waiting, with the states of their users: the lowest position that one of
        them asks for is waited for, and those who ask for more than is reached then go on; nobody when it is not."""
        lowest = min(each.call.min_position for each in batch)
        keys = [each.call.user_key for each in batch]
        states = await self._states.read(keys, [lowest] * len(batch), wait_seconds)
        pairs = zip(batch, states, strict=True)
        return [
            (each, state)
            for each, state in pairs
            if not (wait_seconds and _goes_on(each.call, state, lowest))
        ]

    async def _serve(self, calls: Sequence[Call], states: Sequence[UserState]) -> list[Served]:
        BATCH_CALLS.observe(len(calls))
        model, time_ms = self._slot.current, time.time_ns() // 1_000_000
        fallback = Fallback(self._trending.scores, self._catalogue)
        wishes = [call.wish for call in calls]
        arguments = (wishes, states, model, fallback)
        if model is not None and cost(wishes, len(model.withheld)) > THREAD_FROM_SCORES:
            found = await asyncio.to_thread(answers, *arguments)
        else:
            found = answers(*arguments)
        return [Served(answer, state, model, time_ms) for answer, state in zip(found, states, strict=True)]


def _goes_on(call: Call, state: UserState, lowest: int) -> bool:
    return not state.stale and lowest <= state.position < call.min_position
