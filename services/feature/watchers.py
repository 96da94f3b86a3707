"""Who waits for changes of a user."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


class Watchers:
    """Wakes those who watch a user that was folded."""

    def __init__(self) -> None:
        self._events: defaultdict[int, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def watch(self, user_key: int) -> Iterator[asyncio.Event]:
        """An event that is set whenever the user has changed; its holder clears it."""
        changed = asyncio.Event()
        self._events[user_key].add(changed)
        try:
            yield changed
        finally:
            self._events[user_key].discard(changed)
            if not self._events[user_key]:
                del self._events[user_key]

    def changed(self, user_keys: np.ndarray) -> None:
        """Users (n,) uint64 have changed."""
        if self._events:
            for key in self._events.keys() & set(user_keys.tolist()):
                for event in self._events[key]:
                    event.set()
