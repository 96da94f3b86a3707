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
from functools import partial

import grpc
import structlog
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from shared.domain.presets.preset import PresetError
from shared.domain.stream_settings import UnfitSettingError
from shared.runtime import memory
from shared.runtime.health import Health
from shared.runtime.listeners import CallLimits, Listeners
from shared.runtime.logs import configure_logs
from shared.runtime.metrics import metrics_endpoint
from shared.runtime.out_of_group import out_of_group
from shared.runtime.settings import ServiceSettings

_log = structlog.get_logger("life_cycle")
_CANCEL_AGAIN_SECONDS = 3.0


async def _nothing() -> None:
    return None


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
    listeners: Listeners = field(init=False)
    health: Health = field(init=False)

    async def start(self) -> None:
        self.listeners, self.health = Listeners(self.service.limits), Health()
        self.tell(health_pb2.HealthCheckResponse.NOT_SERVING)
        names = (*self.service.rpc_services, health.SERVICE_NAME, reflection.SERVICE_NAME)
        self.listeners.register(self.service.register)
        self.listeners.register(partial(health_pb2_grpc.add_HealthServicer_to_server, self.health))
        self.listeners.register(partial(reflection.enable_server_reflection, names))
        await self.listeners.start(self.settings.grpc_address)

    def tell(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in ("", *self.service.rpc_services):
            self.health.set(name, status)

    async def drain(self) -> None:
        self.tell(health_pb2.HealthCheckResponse.NOT_SERVING)
        self.health.end_watches()
        await asyncio.sleep(self.settings.drain_notice_seconds)
        self.service.notice()
        await self.listeners.stop(self.settings.drain_grace_seconds)
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
            await server.listeners.stop(0)
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
