"""A server that is asked more than it takes up lets go of the rest at once, also while Python is busy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from queue import Queue

import grpc
import pytest

from shared.runtime.life_cycle import CallLimits

CALLS, PENDING = 50, 2


async def answer(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
    return b"answer"


@pytest.fixture
async def address() -> AsyncIterator[str]:
    server = grpc.aio.server(options=CallLimits(pending=PENDING).options)
    handler = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", {"Ask": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


async def test_what_is_not_taken_up_ends_while_the_rest_waits(address):
    ended: Queue[grpc.Future] = Queue()
    with grpc.insecure_channel(address) as channel:
        calls = [channel.unary_unary("/test/Ask").future(b"", timeout=30) for _ in range(CALLS)]
        for call in calls:
            call.add_done_callback(ended.put)
        # The event loop, in which the server takes calls up, stands still here.
        gone = [ended.get(timeout=10) for _ in range(CALLS - 2 * PENDING - 1)]
        assert {call.code() for call in gone} == {grpc.StatusCode.CANCELLED}
        rest = [await asyncio.to_thread(ended.get, timeout=10) for _ in range(CALLS - len(gone))]
        assert grpc.StatusCode.OK in {call.code() for call in rest}


def test_no_limit_is_grpcs_own():
    assert CallLimits().options == []
