"""Starts the empty server."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.process import Launch, spawn
from deploy.local.settings import REPOSITORY
from tests.bench.h2load import Target, write_body
from tests.bench.world import World, request_of, users

RECOMMEND = "/freshet.ranking.v1.RankingService/Recommend"


@asynccontextmanager
async def empty_server(response: bytes, directory: Path) -> AsyncIterator[str]:
    """The address of a server that answers every Recommend with `response`."""
    address = f"{LOOPBACK}:{free_ports(1)[0]}"
    file = directory / "response.bin"
    file.write_bytes(response)
    command = [sys.executable, "-m", "tests.bench.empty_server", address, str(file)]
    child = await spawn(Launch("empty", command, directory / "logs" / "empty.log", cwd=REPOSITORY))
    try:
        await child.ready(lambda: _serving(address))
        yield address
    finally:
        await child.stop(signal.SIGTERM)


async def _serving(address: str) -> bool:
    async with grpc.aio.insecure_channel(address) as channel:
        try:
            request = health_pb2.HealthCheckRequest()
            answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=1)
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@asynccontextmanager
async def both_servers(world: World) -> AsyncIterator[tuple[Target, Target]]:
    """Ranking, and an empty server that returns the bytes of one of its answers."""
    bodies = [write_body(world.directory / f"{user}.body", request_of(user)) for user in users()]
    answer = await world.recommend(users()[0])
    async with empty_server(answer.SerializeToString(), world.directory) as address:
        yield Target(world.suite.address("ranking"), RECOMMEND, bodies), Target(address, RECOMMEND, bodies)
