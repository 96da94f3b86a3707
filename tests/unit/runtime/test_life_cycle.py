"""A service that is told to stop ends, whatever its workers do with that."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

import pytest

from shared.runtime import life_cycle
from shared.runtime.life_cycle import Service, serve
from shared.runtime.settings import ServiceSettings

SETTINGS = ServiceSettings(grpc_address="127.0.0.1:0", drain_notice_seconds=0.0)


def service(*workers) -> Service:
    return Service(rpc_services=[], register=lambda server: None, workers=workers, ready=told_to_stop)


async def told_to_stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def obedient() -> None:
    await asyncio.Event().wait()


async def losing_one_cancellation() -> None:
    """As a wait does that is cancelled in the moment in which it ends."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await asyncio.Event().wait()


async def failing() -> None:
    raise ValueError("broken")


@pytest.mark.parametrize("worker", [obedient, losing_one_cancellation])
async def test_a_service_ends_with_its_workers(monkeypatch, worker):
    monkeypatch.setattr(life_cycle, "_CANCEL_AGAIN_SECONDS", 0.05)
    async with asyncio.timeout(10):
        await serve(SETTINGS, service(worker))


async def test_a_worker_that_fails_ends_the_service_with_its_error():
    endless = Service(rpc_services=[], register=lambda server: None, workers=[failing], ready=obedient)
    with pytest.raises(ExceptionGroup, match="unhandled") as raised:
        await serve(SETTINGS, endless)
    assert isinstance(raised.value.exceptions[0], ValueError)
