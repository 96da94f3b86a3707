"""A server that is asked more than it takes up lets go of the rest at once, also while Python is busy, and refuses
nothing of a client that keeps to what it allows on one connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from queue import Queue

import grpc
import pytest

from shared.runtime.listeners import CallLimits, Listeners

CALLS, PENDING = 50, 2
MANY_CALLS, PER_CONNECTION = 2_000, 20
BURST = 3_600


async def answer(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
    return b"answer"


@asynccontextmanager
async def listening(limits: CallLimits) -> AsyncIterator[str]:
    """The address of listeners with these limits."""
    handler = grpc.unary_unary_rpc_method_handler(answer)
    handlers = (grpc.method_handlers_generic_handler("test", {"Ask": handler}),)
    listeners = Listeners(limits)
    listeners.register(lambda server: server.add_generic_rpc_handlers(handlers))
    yield await listeners.start("127.0.0.1:0")
    await listeners.stop(0)


async def test_what_is_not_taken_up_ends_while_the_rest_waits():
    ended: Queue[grpc.Future] = Queue()
    async with listening(CallLimits(pending=PENDING)) as address:
        with grpc.insecure_channel(address) as channel:
            calls = [channel.unary_unary("/test/Ask").future(b"", timeout=30) for _ in range(CALLS)]
            for call in calls:
                call.add_done_callback(ended.put)
            # The event loop, in which the server takes calls up, stands still here.
            gone = [ended.get(timeout=10) for _ in range(CALLS - 2 * PENDING - 1)]
            assert {call.code() for call in gone} == {grpc.StatusCode.CANCELLED}
            rest = [await asyncio.to_thread(ended.get, timeout=10) for _ in range(CALLS - len(gone))]
            assert grpc.StatusCode.OK in {call.code() for call in rest}


async def test_a_client_that_keeps_to_the_limit_of_a_connection_is_refused_nothing():
    async with (
        listening(CallLimits(per_connection=PER_CONNECTION)) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        ask = channel.unary_unary("/test/Ask")
        answers = await asyncio.gather(*[ask(b"", timeout=30) for _ in range(MANY_CALLS)])
    assert answers == [b"answer"] * MANY_CALLS


@pytest.mark.parametrize("connections", [1, 4])
async def test_a_burst_of_thousands_of_calls_is_answered(connections):
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with listening(CallLimits()) as address, AsyncExitStack() as stack:
        channels = [grpc.aio.insecure_channel(address, options) for _ in range(connections)]
        asks = [(await stack.enter_async_context(each)).unary_unary("/test/Ask") for each in channels]
        answers = await asyncio.gather(
            *[ask(b"", timeout=30) for ask in asks for _ in range(BURST // len(asks))]
        )
    assert answers == [b"answer"] * BURST


def test_no_limit_is_grpcs_own():
    assert CallLimits(pending=0).options == []
