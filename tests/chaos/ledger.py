"""What the senders were told, and what readers found wrong with it."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from freshet.event.v1.event_pb2 import UserEvent
from shared.adapters.codecs.keys import partition_of, user_key
from shared.domain.consistency import encode_token

PARTITIONS = 16
TOKENS = 2_000


class Token(NamedTuple):
    """An acknowledged write of a user, and where it lies."""

    user_id: str
    partition: int
    position: int

    @property
    def text(self) -> str:
        """The token as the service gave it."""
        return encode_token({self.partition: self.position})


@dataclass
class Ledger:
    """sent: events by id. acknowledged: ids that a door has said yes to, in that order, and when; by_grpc: those that
    the log itself has acknowledged. accepted_again: ids that gRPC accepted after it had acknowledged them already.
    positions: what gRPC said where an id lies. doubtful: events to send again much later. erased: ids and positions of
    events that were acknowledged before their user was erased."""

    sent: dict[str, UserEvent] = field(default_factory=dict)
    acknowledged: dict[str, float] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    by_grpc: set[str] = field(default_factory=set)
    positions: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    accepted_again: list[str] = field(default_factory=list)
    doubtful: list[UserEvent] = field(default_factory=list)
    erased: dict[str, int] = field(default_factory=dict)
    tokens: deque[Token] = field(default_factory=lambda: deque(maxlen=TOKENS))
    told: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    longest_silence_seconds: float = 0.0
    _last_acknowledged: float = field(default_factory=time.monotonic)

    def note_sent(self, event: UserEvent) -> None:
        """Before its first try."""
        self.sent[event.event_id] = event

    def note_written(self, event: UserEvent, accepted: bool, position: int) -> None:
        """gRPC has acknowledged it, with its position (0: not told)."""
        if accepted and event.event_id in self.by_grpc:
            self.accepted_again.append(event.event_id)
        self.by_grpc.add(event.event_id)
        self.told["accepted" if accepted else "duplicate"] += 1
        if position:
            self.positions[event.event_id].add(position)
            self.tokens.append(_token(event.user_id, position))
        self._note(event)

    def note_at_door(self, event: UserEvent) -> None:
        """The NATS door has it on disk."""
        self.told["at the door"] += 1
        self._note(event)

    def _note(self, event: UserEvent) -> None:
        now = time.monotonic()
        self.longest_silence_seconds = max(self.longest_silence_seconds, now - self._last_acknowledged)
        self._last_acknowledged = now
        if event.event_id not in self.acknowledged:
            self.acknowledged[event.event_id] = now
            self.order.append(event.event_id)

    def old_ones(self, random: Random, number: int, least_age_seconds: float) -> list[UserEvent]:
        """Acknowledged events, long ago."""
        now = time.monotonic()
        chosen = random.choices(self.order, k=number) if self.order else []
        return [self.sent[each] for each in chosen if now - self.acknowledged[each] > least_age_seconds]

    def a_token(self, random: Random) -> Token | None:
        """One of the newest tokens."""
        return random.choice(self.tokens) if self.tokens else None


def _token(user_id: str, position: int) -> Token:
    return Token(user_id, partition_of(user_key(user_id), PARTITIONS), position)
