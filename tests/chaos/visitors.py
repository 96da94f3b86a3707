"""Users who come, do something with what others look at too, and are erased: what items count of them goes again."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from random import Random

from freshet.event.v1.event_pb2 import EventItem, UserEvent
from shared.client import FreshetClient, FreshetError
from shared.client.patience import PASSING
from tests.chaos.ledger import Ledger
from tests.chaos.shoppers import ITEMS

CALL_SECONDS = 6.0
EVENTS = 8
PAUSE_SECONDS = 0.3
ERASED_SECONDS = 120.0
"""Everything that was away has come back long before."""


class Visitors:
    """One after the other, until stopped; the last one is erased too. Nothing of them counts as acknowledged."""

    def __init__(self, client: FreshetClient, ledger: Ledger, seed: int) -> None:
        self._client = client.with_options(timeout_seconds=CALL_SECONDS)
        self._ledger, self._seed = ledger, seed
        self._random = Random(f"visitors {seed}")
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Visit and be erased, until `stop`."""
        for number in count():
            if self._stopping.is_set():
                return
            user = f"visitor-{self._seed}-{number}"
            visited = await self._visit(user)
            if not await self._erased_in_time(user):
                self._ledger.violations.append(f"{user} is not erased in {ERASED_SECONDS:.0f} s")
                return
            self._ledger.erased |= visited

    def stop(self) -> None:
        """Nobody new comes."""
        self._stopping.set()

    async def _visit(self, user: str) -> dict[str, int]:
        """Where the events lie that were acknowledged, by their ids."""
        events = [self._event(user, number) for number in range(EVENTS)]
        for event in events:
            # One without an answer may come into the log when its user is erased already.
            self._ledger.note_sent(event)
        try:
            outcomes = (await self._client.batch_write_user_events(events)).outcomes
        except FreshetError as error:
            self._note("visit", error)
            return {}
        pairs = zip(events, outcomes, strict=True)
        return {event.event_id: outcome.position for event, outcome in pairs if outcome.position}

    def _event(self, user: str, number: int) -> UserEvent:
        items = [EventItem(item_id=f"item-{each}") for each in self._random.sample(range(ITEMS), 2)]
        return UserEvent(event_id=f"{user}-{number}", user_id=user, event_type="click", items=items)

    async def _erased_in_time(self, user: str) -> bool:
        deadline = time.monotonic() + ERASED_SECONDS
        while not (erased := await self._erased(user)) and time.monotonic() < deadline:
            await asyncio.sleep(PAUSE_SECONDS)
        return erased

    async def _erased(self, user: str) -> bool:
        try:
            receipt = (await self._client.erase_user(user)).receipt
        except FreshetError as error:
            self._note("erase", error)
            return False
        complete = receipt.HasField("complete_time")
        self._ledger.told["erased"] += complete
        return complete

    def _note(self, name: str, error: FreshetError) -> None:
        self._ledger.told[f"{name} {error.code.name}"] += 1
        if not isinstance(error, PASSING):
            self._ledger.violations.append(f"{name} failed with {error.code.name}: {error}")
