"""The life of a service process: start, ready, drain, stop.

Health says SERVING from ready to the start of the drain. SIGTERM or SIGINT drains: NOT_SERVING, a pause in which
callers notice, no new calls, an end to those in flight, then the service's own drain. A worker that dies ends the
process with a code other than 0.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import grpc
import structlog
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from shared.domain.preset import PresetError
from shared.domain.stream_settings import UnfitSettingError
from shared.runtime import memory
from shared.runtime.channels import MAX_MESSAGE_BYTES
from shared.runtime.health import Health
from shared.runtime.logs import configure_logs
from shared.runtime.metrics import metrics_endpoint
from shared.runtime.out_of_group import out_of_group
from shared.runtime.settings import ServiceSettings

_log = structlog.get_logger("life_cycle")
_SERVER_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
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
_CANCEL_AGAIN_SECONDS = 3.0


async def _nothing() -> None:
    return None


class CallLimits(NamedTuple):
    """How gRPC's core, before Python hears of a call, limits what a server is asked; 0 for its own limits, which are
    none for a connection, and 1,000 calls that are not taken up.

    Python takes calls up one by one between others' answers. Under more load than can be answered they would wait
    before that, unseen, until their deadlines have passed.

    per_connection: most calls that a client has under way on one connection; it keeps others back. pending: calls that
    have come and are not taken up; of more, the core ends some as CANCELLED, of twice as many all.
    """

    per_connection: int = 0
    pending: int = BURST_CALLS

    @property
    def options(self) -> list[tuple[str, int]]:
        """For the server."""
        limits = {
            "grpc.max_concurrent_streams": self.per_connection,
            "grpc.server.max_pending_requests": self.pending,
            "grpc.server.max_pending_requests_hard_limit": 2 * self.pending,
        }
        chosen = [(name, limit) for name, limit in limits.items() if limit]
        return [*chosen, *_KEEPERS_TO_A_LIMIT] if self.per_connection else chosen


@dataclass(frozen=True)
class Service:
    """A service put together. rpc_services: full names for health and reflection. register: adds the servicers.
    workers run from start to stop. ready: returns when calls can be answered. notice: told when a drain begins, so
    that calls without an end of their own come to one. drain: finishes what was accepted."""

    rpc_services: Sequence[str]
    register: Callable[[grpc.aio.Server], None]
    limits: CallLimits = field(default_factory=CallLimits)
    workers: Sequence[Callable[[], Awaitable[None]]] = ()
    ready: Callable[[], Awaitable[None]] = _nothing
    notice: Callable[[], None] = lambda: None
    drain: Callable[[], Awaitable[None]] = _nothing


@dataclass
class _Server:
    settings: ServiceSettings
    service: Service
    grpc: grpc.aio.Server = field(init=False)
    health: Health = field(init=False)

    async def start(self) -> None:
        self.grpc = grpc.aio.server(options=[*_SERVER_OPTIONS, *self.service.limits.options])
        self.health = Health()
        self.tell(health_pb2.HealthCheckResponse.NOT_SERVING)
        self.service.register(self.grpc)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.grpc)
        names = (*self.service.rpc_services, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self.grpc)
        self._listen()
        await self.grpc.start()

    def _listen(self) -> None:
        address = self.settings.grpc_address
        try:
            self.grpc.add_insecure_port(address)
        except RuntimeError as error:  # why, gRPC itself has told on stderr
            raise UnfitSettingError(
                f"FRESHET_GRPC_ADDRESS={address!r}: cannot listen there, is it taken? Set another host:port"
            ) from error

    def tell(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in ("", *self.service.rpc_services):
            self.health.set(name, status)

    async def drain(self) -> None:
        self.tell(health_pb2.HealthCheckResponse.NOT_SERVING)
        self.health.end_watches()
        await asyncio.sleep(self.settings.drain_notice_seconds)
        self.service.notice()
        await self.grpc.stop(self.settings.drain_grace_seconds)
        await self.service.drain()


def run(
    name: str,
    settings: ServiceSettings,
    main: Callable[[], Awaitable[None]],
    freed: Callable[[], None] = memory.give_back_at_once,
) -> None:
    """Configure logs and run `main`, which ends in `serve`. A setting that does not fit what is there is told on stderr
    and ends the process with code 2, as a bad one does; so does a preset that is none. freed: of
    `shared.runtime.memory`, what becomes of large blocks that are freed."""
    configure_logs(name, settings.log_level)
    freed()
    try:
        with out_of_group(UnfitSettingError):  # a worker may find it out
            uvloop.run(main())  # type: ignore[arg-type]
    except UnfitSettingError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    except PresetError as error:
        print(f"FRESHET_DOMAIN={settings.domain!r}: {error}", file=sys.stderr)
        raise SystemExit(2) from None


async def serve(settings: ServiceSettings, service: Service) -> None:
    """Run `service` until SIGTERM or SIGINT, or until one of its workers fails, which raises.

    Raises UnfitSettingError when it cannot listen where the settings say.
    """
    stop = _stop_signal()
    server = _Server(settings, service)
    with metrics_endpoint(settings.host, settings.metrics_port):
        await server.start()
        try:
            async with asyncio.TaskGroup() as workers:
                tasks = [workers.create_task(_worker(worker)) for worker in service.workers]
                await _until_ready(service, stop)
                if not stop.is_set():
                    _serving(server)
                await stop.wait()
                _log.info("draining")
                await server.drain()
                await _end(tasks)
        finally:
            await server.grpc.stop(0)
    _log.info("stopped")


def _serving(server: _Server) -> None:
    _spare_garbage_collector()
    server.tell(health_pb2.HealthCheckResponse.SERVING)
    _log.info("serving", address=server.settings.grpc_address)


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel, and again what has not ended by then: `asyncio.wait_for`, on which nats-py waits, loses a cancellation
    that comes as its wait ends (before Python 3.12), and a worker that went on would keep the process until it is
    killed."""
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=_CANCEL_AGAIN_SECONDS)


async def _until_ready(service: Service, stop: asyncio.Event) -> None:
    """Until the service is ready or the process is told to stop, whichever is first."""
    waits = {asyncio.ensure_future(service.ready()), asyncio.ensure_future(stop.wait())}
    done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()


def _spare_garbage_collector() -> None:
    """What is there at the start stays to the end: do not look through it again, and look through what has grown old
    seldom. What is young goes in small portions: calls leave cycles behind, and to free those of 50,000 objects at once
    held up everything for an eighth of a second."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 100, 100)


async def _worker(worker: Callable[[], Awaitable[None]]) -> None:
    await worker()
    raise RuntimeError(f"worker {getattr(worker, '__qualname__', worker)} ended")


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
