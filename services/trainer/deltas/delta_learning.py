"""What the champion learns between full models: from a stretch of the log to deltas. No I/O, and no torch.

Decision: rules are told as what is to be added, so that neither a delta nor this side holds whole rows: an event costs
a few hundred bytes, whatever it follows. Windows of users and what new items were seen beside are a fold of the log
since the model's bundle, and of the archive before it; a trainer that comes back folds that again, and says nothing of
what the deltas up to there have said.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from shared.adapters.codecs.bundle import Bundle
from shared.domain.content.new_items import NewItems, NewRows
from shared.domain.events.event_batch import EventBatch
from shared.domain.events.event_columns import EventColumns
from shared.domain.lru import LeastRecentlyUsed
from shared.domain.models.delta import Chain, Delta
from shared.domain.models.following import Following, Roles

MOST_PAIRS = 5_000
"""Of one delta, but for those of its last event: 20 bytes each, of NATS' largest message of 1 MiB, and about 10 ms in
which ranking does nothing else."""
ROW_BYTES = 500_000
"""Of one delta."""
RECENT_EVENTS = 100_000
"""Ids of so many events are known, should the log hold one twice; full models know all."""


@dataclass
class _Segment:
    """Pairs of items and how often the second followed the first, of the log up to `to_position`."""

    to_position: int
    pairs: dict[tuple[int, int], float] = field(default_factory=lambda: defaultdict(float))


class DeltaLearner:
    """Learns for one champion. `chain` is that of the deltas that are stored."""

    def __init__(self, bundle: Bundle, roles: Roles, users: int, chain: Chain) -> None:
        self.chain = chain
        self.position = bundle.manifest.log_to
        self.items = NewItems(bundle.item_keys, bundle.item_vectors, bundle.item_biases)
        self._told_position = max(chain.to_position, self.position)
        self._dimension = bundle.manifest.dimension
        self._following = Following(roles, users)
        self._segments: deque[_Segment] = deque()
        self._recent: LeastRecentlyUsed[int, None] = LeastRecentlyUsed(RECENT_EVENTS)
        mixture = bundle.manifest.mixture
        self._has_rules = mixture is not None and mixture.weight > 0

    def unknown_users(self, batch: EventBatch) -> dict[int, int]:
        """Users of a batch whose earlier events must be recalled, and the position of their first one in it. What is
        known of the others outlasts the recall, if there are no more users in the batch than are kept."""
        firsts: dict[int, int] = {}
        for user, position in zip(batch.user_key.tolist(), batch.position.tolist(), strict=True):
            if not self._following.knows(user):
                firsts.setdefault(user, position)
        return firsts

    @property
    def recalled_from(self) -> int:
        """Up to where the archive must hold the log for a recall: a user who was let go may have come up to here. 0
        while there is room for all, since who is unknown then has not come since the bundle."""
        return self.position if self._following.full else 0

    def recall(self, columns: EventColumns) -> None:
        """Take in earlier events of users; what they teach is known."""
        rows = zip(
            columns.user_key.tolist(), columns.item_key.tolist(), columns.event_type.tolist(), strict=True
        )
        for user, item, event_type in rows:
            self._following.follow(user, item, event_type)

    def fold(self, batch: EventBatch) -> None:
        """Take in the log's next events."""
        starts, items = batch.item_start.tolist(), batch.item_key.tolist()
        users, types, positions = batch.user_key.tolist(), batch.event_type.tolist(), batch.position.tolist()
        keys = batch.event_key.tolist()
        for number, (user, event_type, position) in enumerate(zip(users, types, positions, strict=True)):
            if keys[number] in self._recent:
                continue
            self._recent.put(keys[number], None)
            for item in items[starts[number] : starts[number + 1]]:
                step = self._following.follow(user, item, event_type)
                self.items.meet(item, step.company)
                if position > self._told_position:
                    self._note(item, step.followed, position)
            self.position = max(self.position, position)

    def forget(self, user_key: int) -> None:
        """Nothing more is learned from what an erased user did before."""
        self._following.forget(user_key)

    def passed(self, position: int) -> None:
        """All of the log up to `position` is folded."""
        self.position = max(self.position, position)

    def _note(self, item: int, followed: Sequence[tuple[int, float]], position: int) -> None:
        if not followed or not self._has_rules:
            return
        last = self._segments[-1] if self._segments else None
        if last is None or (len(last.pairs) >= MOST_PAIRS and position > last.to_position):
            self._segments.append(last := _Segment(position))
        last.to_position = position
        for before, weight in followed:
            last.pairs[before, item] += weight

    def next_delta(self, since_ms: int) -> Delta | None:
        """What has been learned and not told; None when there is nothing, or not all of what was told before is folded
        again. It counts as told from here on: a learner whose delta was not stored is made anew."""
        if self.position < self._told_position:
            return None
        rows = self.items.take(max(1, ROW_BYTES // (4 * self._dimension + 12)))
        if self.items.pending:  # pairs wait: those of items whose rows come later would be lost
            return self._sealed(self._told_position, rows, {}, since_ms)
        segment = self._segments.popleft() if self._segments else None
        pairs = self._known_pairs(segment.pairs) if segment else {}
        if not len(rows.item_keys) and not pairs:
            return None
        # What is told of later events must not be taken for told when only a part of it is.
        end = segment.to_position if segment and self._segments else self.position
        return self._sealed(end, rows, pairs, since_ms)

    def sign_of_life(self, since_ms: int) -> Delta | None:
        """A delta that tells nothing, for others to go on from when those before it have passed their age; None when
        there are none, or as `next_delta`."""
        if self.chain.sequence == 0 or self.position < self._told_position:
            return None
        return self._sealed(self.position, self.items.take(0), {}, since_ms)

    def _known_pairs(self, pairs: dict[tuple[int, int], float]) -> dict[tuple[int, int], float]:
        """Those of items with rows."""
        known = self.items.has_row
        return {pair: count for pair, count in pairs.items() if known(pair[0]) and known(pair[1])}

    def _sealed(self, end: int, rows: NewRows, pairs: dict[tuple[int, int], float], since_ms: int) -> Delta:
        keys = np.array(list(pairs), np.uint64).reshape(-1, 2)
        delta = Delta(
            self.chain.model_version,
            self.chain.sequence + 1,
            max(end, self.chain.to_position),
            item_keys=rows.item_keys,
            vectors=rows.vectors,
            biases=rows.biases,
            rule_keys=np.ascontiguousarray(keys[:, 0]),
            follower_keys=np.ascontiguousarray(keys[:, 1]),
            counts=np.array(list(pairs.values()), np.float32),
            since_ms=since_ms,
        ).sealed(self.chain.digest)
        self.chain.advance(delta)
        self._told_position = delta.to_position
        return delta
