"""What was sent, what was refused and why, and what went wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from xxhash import xxh3_64_intdigest

from freshet.ingestion.v1.ingestion_pb2 import DeadLetter

KEPT_MISSES = 20
NATS, GRPC = "nats", "grpc"


@dataclass
class Tally:
    """Counts of one run. misses: what was not as it must be, the first ones in words."""

    sent: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    probes: Counter[str] = field(default_factory=Counter)
    miss_count: int = 0
    misses: list[str] = field(default_factory=list)
    outstanding: Counter[int] = field(default_factory=Counter)
    letters: int = 0

    def refuse(self, door: str, kind: str, reasons: Iterable[tuple[str, str]]) -> None:
        """Note a refusal: (field, reason) of each violation. One without a name or a word for it is a miss."""
        self.sent[door, kind] += 1
        named = list(reasons)
        if named and all(name and reason for name, reason in named):
            self.refused[door, named[0][1]] += 1
        else:
            self.miss(f"{door}: a message of kind {kind} was refused without naming anything: {named}")

    def miss(self, text: str) -> None:
        """Note what was not as it must be."""
        self.miss_count += 1
        if len(self.misses) < KEPT_MISSES:
            self.misses.append(text)

    def published(self, kind: str, payload: bytes) -> None:
        """A message went to the NATS door; its letter is outstanding."""
        self.sent[NATS, kind] += 1
        self.outstanding[_digest(payload)] += 1

    def letter(self, letter: DeadLetter) -> None:
        """A dead letter came."""
        self.letters += 1
        key = _digest(letter.payload)
        if self.outstanding[key] <= 0:
            self.miss(f"nats: a dead letter too many, of {letter.payload[:60]!r}")
        self.outstanding[key] -= 1
        if not self.outstanding[key]:
            del self.outstanding[key]
        if not letter.violations or not all(each.field and each.reason for each in letter.violations):
            self.miss(f"nats: a dead letter names nothing: {letter.payload[:60]!r}")
        else:
            self.refused[NATS, letter.violations[0].reason] += 1

    def document(self) -> dict[str, Any]:
        """The counts as JSON shows them."""
        return {
            "sent": {
                door: {k: n for (d, k), n in sorted(self.sent.items()) if d == door} for door in (NATS, GRPC)
            },
            "refused_by_reason": {
                door: {k: n for (d, k), n in sorted(self.refused.items()) if d == door}
                for door in (NATS, GRPC)
            },
            "dead_letters": self.letters,
            "probes_accepted": dict(self.probes),
            "missing_dead_letters": self.outstanding.total(),
            "misses": self.miss_count,
            "first_misses": self.misses,
        }


def _digest(payload: bytes) -> int:
    return xxh3_64_intdigest(payload[: 64 * 1024])
