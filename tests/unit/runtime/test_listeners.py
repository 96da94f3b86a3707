"""Listeners share one port among themselves, and with nobody else."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest

from shared.domain.stream_settings import UnfitSettingError
from shared.runtime.listeners import LISTENERS, CallLimits, Listeners

CONNECTIONS = 64
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]


class Doors:
    """Which of the servers has how many calls answered. `open` adds the one that answers to a server."""

    def __init__(self) -> None:
        self.answered: Counter[int] = Counter()
        self._number = 0

    def open(self, server: grpc.aio.Server) -> None:
        number, self._number = self._number, self._number + 1

        async def answer(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            self.answered[number] += 1
            return b"answer"

        handler = grpc.unary_unary_rpc_method_handler(answer)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", {"Ask": handler}),))


@asynccontextmanager
async def listening(doors: Doors, address: str = "127.0.0.1:0") -> AsyncIterator[str]:
    listeners = Listeners(CallLimits())
    listeners.register(doors.open)
    yield await listeners.start(address)
    await listeners.stop(0)


async def ask_over(connections: int, address: str) -> list[bytes]:
    """An answer over each of so many connections."""
    async with AsyncExitStack() as stack:
        channels = [grpc.aio.insecure_channel(address, OWN_CONNECTION) for _ in range(connections)]
        asks = [(await stack.enter_async_context(each)).unary_unary("/test/Ask") for each in channels]
        return await asyncio.gather(*[ask(b"", timeout=30) for ask in asks])


async def test_connections_are_spread_over_the_servers():
    doors = Doors()
    async with listening(doors) as address:
        assert await ask_over(CONNECTIONS, address) == [b"answer"] * CONNECTIONS
    assert len(doors.answered) > LISTENERS // 2


async def test_a_port_that_other_listeners_share_is_taken():
    async with listening(Doors()) as address:
        with pytest.raises(UnfitSettingError, match=f"FRESHET_GRPC_ADDRESS='{address}': the port is taken"):
            await Listeners(CallLimits()).start(address)


async def test_a_port_is_free_again_at_once_when_its_listeners_have_stopped():
    async with listening(Doors()) as address:
        await ask_over(CONNECTIONS, address)  # which leaves connections that wait for their end
    async with listening(Doors(), address):
        assert await ask_over(1, address) == [b"answer"]


def hosts() -> list[str]:
    """What may stand before the port on this machine."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return ["localhost"]
    return ["localhost", "[::1]", "[::]"]


@pytest.mark.parametrize("host", hosts())
async def test_a_host_is_what_grpc_takes_for_one(host):
    async with listening(Doors(), f"{host}:0") as address:
        assert await ask_over(1, address) == [b"answer"]


async def test_a_host_that_there_is_not_cannot_be_listened_on():
    with pytest.raises(UnfitSettingError, match="cannot listen there"):
        await Listeners(CallLimits()).start("nowhere.invalid:50051")
