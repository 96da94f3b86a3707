"""Where calls come in: several gRPC servers side by side on one port, and what is taken of too many calls.

A server of grpc.aio asks gRPC's core for the next call when it has taken up the one before, some turns of the event
loop later. Under load each turn answers others, and most calls wait in the core: unseen, so that nobody refuses them in
time, and apart, so that batches are small. The kernel hands each connection to one of the servers, which take calls up
at once.

Measured with sixteen servers for one on 2 cores: `Recommend` answers a quarter more; under twice the load that can be
answered, over 8 connections, 0.8 to 0.9 x of it still comes in time instead of 0.3 x (`tests.bench --only overload`).
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import NamedTuple

import grpc

from shared.domain.stream_settings import UnfitSettingError
from shared.runtime.channels import MAX_MESSAGE_BYTES

LISTENERS = 16 if hasattr(socket, "SO_REUSEPORT") else 1
_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", int(LISTENERS > 1)),
    # Clients of streams may ask as often whether this is alive, and are asked themselves: one that is gone, which no
    # packet tells of, leaves nothing behind.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.http2.ping_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
]
_KEEPERS_TO_A_LIMIT = [("grpc.http.overload_protection", 0)]
"""For gRPC's core a call is under way until Python has let go of it, which is after its client has the answer. A client
that keeps to the limit would then be refused the next call it begins, as UNAVAILABLE."""
BURST_CALLS = 4_000
"""Calls that may come at once. They are taken up within seconds, and what is too much is then refused by its name."""


class CallLimits(NamedTuple):
    """How gRPC's core, before Python hears of a call, limits what a listener is asked; 0 for its own limits, which are
    none for a connection, and 1,000 calls that are not taken up.

    per_connection: most calls that a client has under way on one connection; it keeps others back. pending: calls that
    have come and are not taken up; of more, the core ends some as CANCELLED, of twice as many all.
    """

    per_connection: int = 0
    pending: int = BURST_CALLS

    @property
    def options(self) -> list[tuple[str, int]]:
        """For a server."""
        limits = {
            "grpc.max_concurrent_streams": self.per_connection,
            "grpc.server.max_pending_requests": self.pending,
            "grpc.server.max_pending_requests_hard_limit": 2 * self.pending,
        }
        chosen = [(name, limit) for name, limit in limits.items() if limit]
        return [*chosen, *_KEEPERS_TO_A_LIMIT] if self.per_connection else chosen


class Listeners:
    """The servers of one service. What is registered with one of them is registered with all."""

    def __init__(self, limits: CallLimits) -> None:
        options = [*_OPTIONS, *limits.options]
        self._servers = [grpc.aio.server(options=options) for _ in range(LISTENERS)]

    def register(self, add: Callable[[grpc.aio.Server], object]) -> None:
        """Have `add` add a servicer."""
        for server in self._servers:
            add(server)

    async def start(self, address: str) -> str:
        """Listen on host:port and begin to take calls up. Answers where: of port 0, the port that was free. Raises
        UnfitSettingError when the port is taken; of two processes that start within the same millisecond neither may
        notice."""
        _check_free(address)
        for server in self._servers:
            address = _bound(server, address)
        await asyncio.gather(*[server.start() for server in self._servers])
        return address

    async def stop(self, grace_seconds: float) -> None:
        """Take up no more calls, and give those under way so long to end."""
        await asyncio.gather(*[server.stop(grace_seconds) for server in self._servers])


def _bound(server: grpc.aio.Server, address: str) -> str:
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:  # why, gRPC itself has told on stderr
        raise _unfit(address, "cannot listen there") from error
    return f"{address.rpartition(':')[0]}:{port}"


def _check_free(address: str) -> None:
    """Servers that share a port would share it with those of another process, too, which then took some of the calls:
    a socket that does not share asks first. What else is wrong with the address gRPC tells."""
    host, _, port = address.rpartition(":")
    try:
        places = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return
    for family, kind, protocol, _, place in places:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise _unfit(address, "the port is taken") from error


def _unfit(address: str, reason: str) -> UnfitSettingError:
    return UnfitSettingError(f"FRESHET_GRPC_ADDRESS={address!r}: {reason}; set another host:port")
