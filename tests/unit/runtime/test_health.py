"""Health: what callers and watchers are told, and when a watch ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from deploy.local.ports import free_ports
from shared.runtime import healthcheck
from shared.runtime.channels import CHANNEL_OPTIONS, NO_PROXY
from shared.runtime.life_cycle import Service, serve
from shared.runtime.settings import ServiceSettings
from tests.conditions import eventually

NOT_SERVING, SERVING, SERVICE_UNKNOWN = (
    health_pb2.HealthCheckResponse.NOT_SERVING,
    health_pb2.HealthCheckResponse.SERVING,
    health_pb2.HealthCheckResponse.SERVICE_UNKNOWN,
)
LONG_GRACE_SECONDS = 60.0
WITHIN_SECONDS = 20.0


@pytest.fixture
def settings() -> ServiceSettings:
    """Of a service that gives calls in flight longer than a test may take."""
    return ServiceSettings(
        grpc_address=f"127.0.0.1:{free_ports(1)[0]}",
        drain_notice_seconds=0.0,
        drain_grace_seconds=LONG_GRACE_SECONDS,
    )


@pytest.fixture
async def health(settings) -> AsyncIterator[health_pb2_grpc.HealthStub]:
    async with grpc.aio.insecure_channel(settings.grpc_address, NO_PROXY) as channel:
        yield health_pb2_grpc.HealthStub(channel)


async def never() -> None:
    await asyncio.Event().wait()


def named(ready=None) -> Service:
    wanted = {} if ready is None else {"ready": ready}
    return Service(rpc_services=["shop.Shop"], register=lambda server: None, **wanted)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def serves(health) -> bool:
    """A service listens before it is ready."""
    answer = await health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True)
    return answer.status == SERVING


async def watched(health, until: int, service: str = "") -> list[int]:
    """All that a watch tells to its end; at the status `until` the service is told to stop."""
    told = []
    async for answer in health.Watch(health_pb2.HealthCheckRequest(service=service), wait_for_ready=True):
        told.append(answer.status)
        if answer.status == until:
            stop()
    return told


@pytest.mark.parametrize("service", ["", "shop.Shop"])
async def test_a_watch_is_told_of_the_drain_and_then_ends_instead_of_holding_it_up(settings, health, service):
    async with asyncio.timeout(WITHIN_SECONDS):
        told, _ = await asyncio.gather(watched(health, SERVING, service), serve(settings, named()))
    assert told[-2:] == [SERVING, NOT_SERVING]


async def test_a_watch_of_an_unknown_service_ends_with_the_drain_too(settings, health):
    async with asyncio.timeout(WITHIN_SECONDS):
        told, _ = await asyncio.gather(
            watched(health, SERVICE_UNKNOWN, "shop.Nothing"), serve(settings, named())
        )
    assert told == [SERVICE_UNKNOWN]


async def test_a_service_that_is_stopped_before_it_is_ready_never_says_that_it_serves(settings, health):
    with capture_logs() as logs:
        async with asyncio.timeout(WITHIN_SECONDS):
            told, _ = await asyncio.gather(watched(health, NOT_SERVING), serve(settings, named(never)))
    assert told == [NOT_SERVING]
    assert [log["event"] for log in logs] == ["draining", "stopped"]


async def test_a_check_tells_the_status_of_what_is_here_and_nothing_of_what_is_not(settings, health):
    serving = asyncio.create_task(serve(settings, named()))
    await eventually(lambda: serves(health))
    answer = await health.Check(health_pb2.HealthCheckRequest(service="shop.Shop"))
    assert answer.status == SERVING
    with pytest.raises(grpc.aio.AioRpcError, match=r"shop\.Nothing") as refused:
        await health.Check(health_pb2.HealthCheckRequest(service="shop.Nothing"))
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    stop()
    async with asyncio.timeout(WITHIN_SECONDS):
        await serving


async def test_services_and_the_health_check_of_containers_ask_no_proxy(settings, health, monkeypatch):
    for variable in ("no_grpc_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    serving = asyncio.create_task(serve(settings, named()))
    await eventually(lambda: serves(health))
    assert await asyncio.to_thread(healthcheck.main, [settings.grpc_address]) == 0
    async with grpc.aio.insecure_channel(settings.grpc_address, CHANNEL_OPTIONS) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert answer.status == SERVING
    stop()
    async with asyncio.timeout(WITHIN_SECONDS):
        await serving
