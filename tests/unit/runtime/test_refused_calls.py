"""What a refused or an ended call leaves behind: nothing but a number, however large its request was."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator

import grpc
import pytest

from shared.runtime.errors import overloaded
from shared.runtime.metrics import RPC_TOTAL
from shared.runtime.rpc import streaming, unary
from tests.conditions import eventually


class Kept:
    """Something that can be seen to go."""


class Servicer:
    """Refuses every call in a way of its own, or never answers it. seen: what calls held."""

    def __init__(self) -> None:
        self.seen: list[weakref.ref[Kept]] = []
        self.waits = asyncio.Event()

    def note(self) -> Kept:
        kept = Kept()
        self.seen.append(weakref.ref(kept))
        return kept

    def request(self, _: bytes) -> Kept:
        return self.note()

    def fail(self) -> None:
        local = self.note()
        raise ValueError(f"no room for {local}")

    @unary
    async def Refused(self, request: Kept, context: grpc.aio.ServicerContext) -> bytes:
        try:
            self.fail()
        except ValueError as error:
            raise overloaded(str(error)) from error
        return b""

    @unary
    async def Failed(self, request: Kept, context: grpc.aio.ServicerContext) -> bytes:
        self.fail()
        return b""

    @unary
    async def Aborted(self, request: Kept, context: grpc.aio.ServicerContext) -> bytes:
        local = self.note()
        await context.abort(grpc.StatusCode.UNAVAILABLE, f"{local}")
        return b""

    @unary
    async def Endless(self, request: Kept, context: grpc.aio.ServicerContext) -> bytes:
        local = self.note()
        self.waits.set()
        await asyncio.Event().wait()
        return bytes(local)

    @streaming
    async def Watched(self, request: Kept, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        yield b""
        local = self.note()
        self.waits.set()
        await asyncio.Event().wait()
        yield bytes(local)

    @streaming
    async def Flowing(self, request: Kept, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        local = self.note()
        self.waits.set()
        while local:
            yield bytes(100_000)

    @streaming
    async def Streamed(self, request: Kept, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        yield b""
        self.fail()


@pytest.fixture
async def servicer() -> AsyncIterator[Servicer]:
    """A servicer; nothing is collected meanwhile."""
    gc.collect()
    gc.disable()
    yield Servicer()
    gc.enable()


@pytest.fixture
async def channel(servicer) -> AsyncIterator[grpc.aio.Channel]:
    unaries = {
        name: grpc.unary_unary_rpc_method_handler(getattr(servicer, name), servicer.request)
        for name in ("Refused", "Failed", "Aborted", "Endless")
    }
    streams = {
        name: grpc.unary_stream_rpc_method_handler(getattr(servicer, name), servicer.request)
        for name in ("Streamed", "Watched", "Flowing")
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", unaries | streams),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    await server.stop(0)


async def gone(servicer: Servicer) -> None:
    """Wait until nothing is left of what a call held: its caller may hear of its end before it is over."""
    assert len(servicer.seen) == 2
    await eventually(lambda: all(seen() is None for seen in servicer.seen), timeout=3.0)


@pytest.mark.parametrize("method", ["Refused", "Failed", "Aborted"])
async def test_a_refused_call_keeps_nothing(servicer, channel, method):
    with pytest.raises(grpc.aio.AioRpcError):
        await channel.unary_unary(f"/test/{method}")(b"")
    await gone(servicer)


@pytest.mark.parametrize(
    "method, code", [("Refused", "RESOURCE_EXHAUSTED"), ("Failed", "INTERNAL"), ("Aborted", "UNAVAILABLE")]
)
async def test_a_refused_call_is_counted_by_its_code_whoever_gave_it(channel, method, code):
    counted = RPC_TOTAL.labels(method, code)._value
    before = counted.get()
    with pytest.raises(grpc.aio.AioRpcError):
        await channel.unary_unary(f"/test/{method}")(b"")
    assert counted.get() == before + 1


async def test_a_refused_stream_keeps_nothing(servicer, channel):
    with pytest.raises(grpc.aio.AioRpcError):
        _ = [each async for each in channel.unary_stream("/test/Streamed")(b"")]
    await gone(servicer)


def endless(channel: grpc.aio.Channel, method: str, timeout: float) -> grpc.aio.Call:
    """A call that its server never ends."""
    kind = channel.unary_unary if method == "Endless" else channel.unary_stream
    return kind(f"/test/{method}")(b"", timeout=timeout)


@pytest.mark.parametrize("method", ["Endless", "Watched", "Flowing"])
@pytest.mark.parametrize("code, seconds", [("CANCELLED", 60.0), ("DEADLINE_EXCEEDED", 0.3)])
async def test_a_call_that_its_caller_or_its_deadline_ends_is_counted_once(
    servicer, channel, method, code, seconds
):
    codes = [each.name for each in grpc.StatusCode]
    before = {each: RPC_TOTAL.labels(method, each)._value.get() for each in codes}
    call = endless(channel, method, seconds)
    await servicer.waits.wait()
    if code == "CANCELLED":
        call.cancel()
    await eventually(lambda: RPC_TOTAL.labels(method, code)._value.get() > before[code], timeout=3.0)
    await gone(servicer)
    assert {each: RPC_TOTAL.labels(method, each)._value.get() for each in codes} == {
        **before,
        code: before[code] + 1,
    }
