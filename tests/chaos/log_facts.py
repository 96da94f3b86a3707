"""What the log holds, and what a fold of its distinct events gives: what everything else is compared with."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from freshet.event.v1.event_pb2 import UserEvent
from services.console.log.log_fold import Log, decoded
from shared.adapters.codecs.keys import item_key, user_key
from shared.adapters.jetstream.log_reader import LogMessage
from shared.adapters.jetstream.streams import last_position
from shared.domain.events.event import CORRECTS, EventType
from shared.domain.fold.state import FoldSettings, State, fold

Counts = dict[str, dict[str, int]]


@dataclass
class LogFacts:
    """positions: of each event id, the first one first. messages: of the first positions, in log order."""

    last: int = 0
    positions: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    messages: list[LogMessage] = field(default_factory=list)
    events: list[UserEvent] = field(default_factory=list)
    misnamed: list[int] = field(default_factory=list)

    @property
    def repeated(self) -> dict[str, list[int]]:
        """Ids that the log holds more than once, with their positions."""
        return {each: positions for each, positions in self.positions.items() if len(positions) > 1}

    def add(self, message: LogMessage) -> None:
        """The next message."""
        event = UserEvent.FromString(message.payload)
        if message.message_id != event.event_id:
            self.misnamed.append(message.position)
        positions = self.positions[event.event_id]
        positions.append(message.position)
        if len(positions) == 1:
            self.messages.append(message)
            self.events.append(event)

    def events_between_repeats(self) -> list[int]:
        """For each repeated id, how many other events of its user lie between its first and its second position."""
        by_user: dict[str, list[int]] = defaultdict(list)
        owner = {}
        for message, event in zip(self.messages, self.events, strict=True):
            by_user[event.user_id].append(message.position)
            owner[event.event_id] = event.user_id
        return [
            int(
                np.searchsorted(by_user[owner[each]], at[1])
                - np.searchsorted(by_user[owner[each]], at[0])
                - 1
            )
            for each, at in self.repeated.items()
        ]


async def scan(log: Log) -> LogFacts:
    """Read the whole log."""
    facts = LogFacts(await last_position(log.connection, log.names))
    async for messages in log.events(facts.last):
        for message in messages:
            facts.add(message)
    return facts


def fold_once(facts: LogFacts, settings: FoldSettings) -> State:
    """The state of which every event id is a part once."""
    state = State(settings)
    fold(state, decoded(facts.messages))
    return state


def user_counts(state: State, users: Sequence[str]) -> Counts:
    """Events by type of each user."""
    views = {user: state.users.read(user_key(user)) for user in users}
    return {user: _by_word(view.event_count) if view else {} for user, view in views.items()}


def item_counts(state: State, items: Sequence[str]) -> Counts:
    """Events by type of each item."""
    records = state.items.of_items([item_key(each) for each in items])
    return {item: _by_word(record["event_count"]) for item, record in zip(items, records, strict=True)}


def plain_counts(events: Sequence[UserEvent]) -> Counts:
    """Events by type of each user without any fold, less those that reversals name: only of types that nothing else
    takes back."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for event in events:
        counts[event.user_id][event.event_type] += 1
        if event.corrected_event_type:
            counts[event.user_id][event.corrected_event_type] -= 1
    return only_plain({user: dict(+of_user) for user, of_user in counts.items()})


def only_plain(counts: Counts) -> Counts:
    """The part of `counts` that `plain_counts` tells of."""
    taken_back = {each.word for each in CORRECTS.values()}
    return {
        user: {word: n for word, n in of_user.items() if word not in taken_back}
        for user, of_user in counts.items()
    }


def _by_word(counts: np.ndarray) -> dict[str, int]:
    return {EventType(code).word: int(counts[code]) for code in np.flatnonzero(counts > 0).tolist()}
