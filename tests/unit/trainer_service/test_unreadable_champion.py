"""A champion whose bundle cannot be read."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import chain, repeat
from types import SimpleNamespace

from services.trainer.deltas import delta_worker
from services.trainer.deltas.delta_worker import DeltaTools, DeltaWorker
from shared.adapters.jetstream.bundle_store import BundleNotFoundError

FIRST, SECOND = "ab" * 32, "cd" * 32


class Champions:
    """The first for a few looks, then the second."""

    def __init__(self) -> None:
        self._digests = chain([FIRST] * 5, repeat(SECOND))

    async def champion(self) -> SimpleNamespace:
        digest = next(self._digests)
        return SimpleNamespace(bundle_digest=digest, model_version=digest[:16])


class EmptyStore:
    """asked: for which bundles; second: set once the second one is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.second = asyncio.Event()

    async def get(self, digest: str) -> bytes:
        self.asked.append(digest)
        if digest == SECOND:
            self.second.set()
        raise BundleNotFoundError(digest)


async def looked_for(store: EmptyStore) -> list[str]:
    """Of which bundles a worker has asked by the time that it knows of the second champion."""
    tools = DeltaTools(None, None, None, Champions(), store, None, users=1)
    working = asyncio.create_task(DeltaWorker(tools).run(delta_seconds=0.001))
    await store.second.wait()
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    return store.asked


async def test_a_bundle_that_cannot_be_read_is_read_once_until_another_champion_comes(monkeypatch):
    monkeypatch.setattr(delta_worker, "_PAUSE_SECONDS", 0.001)
    assert await looked_for(EmptyStore()) == [FIRST, SECOND]


async def test_after_a_while_it_is_looked_whether_the_bundle_has_been_put_back(monkeypatch):
    monkeypatch.setattr(delta_worker, "_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(delta_worker, "_UNREADABLE_SECONDS", 0.0)
    asked = await looked_for(EmptyStore())
    assert asked[:2] == [FIRST, FIRST] and asked[-1] == SECOND
