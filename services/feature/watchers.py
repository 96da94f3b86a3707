"""Who waits for changes of a user, until the service goes down."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from shared.runtime.errors import unavailable

T = TypeVar("T")


class Watchers:
    """Wakes those who watch a user that has changed."""

    def __init__(self) -> None:
        self._events: defaultdict[int, set[asyncio.Event]] = defaultdict(set)
        self._ended = asyncio.Event()

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

    def changed(self, user_keys: Iterable[int]) -> None:
        """Users have changed."""
        if self._events:
            for key in self._events.keys() & set(user_keys):
                for event in self._events[key]:
                    event.set()

    def end(self) -> None:
        """The service goes down."""
        self._ended.set()

    async def until_end(self, answers: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """The answers to somebody who watches. Raises UNAVAILABLE when the service goes down, so that they watch again
        elsewhere; a watch has no end of its own."""
        ended = asyncio.create_task(self._ended.wait())
        following: asyncio.Future[T] | None = None
        try:
            while True:
                following = asyncio.ensure_future(anext(answers))
                await asyncio.wait({ended, following}, return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    raise unavailable("DRAINING", "the service is going down; watch again", 0.2)
                yield following.result()
        finally:
            tasks = [task for task in (ended, following) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await answers.aclose()
