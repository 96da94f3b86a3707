"""Running everything on one machine until stopped: the suite, the shop in it, and what is shown meanwhile."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from rich.console import Console
from rich.live import Live
from rich.text import Text

from deploy.local.elsewhere import check_brokers
from deploy.local.live_view import json_line, plain_line, table
from deploy.local.reviving import Reviver
from deploy.local.shop.observer import Observer
from deploy.local.shop.statistics import Statistics
from deploy.local.shop.traffic import ShopSettings, Traffic
from deploy.local.shop.welcome import welcome, whereabouts
from deploy.local.suite import Suite, SuiteSettings, local_suite
from shared.client import Addresses, DeadlineExceeded, FreshetClient, ResourceExhausted, Unavailable
from shared.client.patience import Patience
from shared.runtime.terminal import hang_up

# A new model every few minutes, and one core left for the answers.
QUICK_TRAINING = {
    "FRESHET_TRAIN_INTERVAL_SECONDS": "180",
    "FRESHET_TRAIN_MAX_MINUTES": "1",
    "FRESHET_TRAIN_THREADS": "1",
}
TABLE_SECONDS, LINE_SECONDS = 0.5, 5.0
AWAY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What to run: the suite, the shop (None: none), how long (None: until stopped), and how it is shown."""

    suite: SuiteSettings
    shop: ShopSettings | None = field(default_factory=ShopSettings)
    duration_seconds: float | None = None
    json_lines: bool = False


async def run_local(settings: RunSettings) -> None:
    """Runs until the duration is over, or a signal says so: see `until_stopped`.

    Raises LauncherError if a service keeps ending, FreshetError or RefusedError if the shop cannot go on.
    """
    view = _View(settings.json_lines)
    view.say("starting; the first start takes some seconds, Ctrl-C stops everything")
    await until_stopped(_run(settings, view), lambda: view.say("stopping"))
    view.say("stopped")


async def until_stopped(work: Coroutine[Any, Any, None], on_stop: Callable[[], None]) -> None:
    """Awaits the work; SIGINT, SIGTERM and the terminal's end cancel it, which is a normal end."""
    task = asyncio.create_task(work)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            task.cancel()
            with contextlib.suppress(OSError):  # the terminal may be gone
                on_stop()

    for number in (signal.SIGINT, signal.SIGTERM, *hang_up()):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not stopped:
            raise


async def _run(settings: RunSettings, view: "_View") -> None:
    chosen = settings.suite if settings.shop is None else with_quick_training(settings.suite)
    await check_brokers(chosen)
    async with local_suite(chosen) as suite:
        view.greet(suite)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(settings.duration_seconds):
                await _inside(suite, settings, view)


async def _inside(suite: Suite, settings: RunSettings, view: "_View") -> None:
    addresses = Addresses(**{name: suite.address(name) for name in suite.settings.services})
    statistics = Statistics(started=time.monotonic())
    try:
        async with FreshetClient(addresses) as client, asyncio.TaskGroup() as group:
            observer = Observer(client, statistics)
            group.create_task(_keep_alive(suite, observer, view))
            if settings.shop is not None:
                shop = _bearable(settings.shop, view)
                group.create_task(_shop(Traffic(client, shop, statistics), client, observer))
                group.create_task(observer.watch())
                group.create_task(view.show(observer))
            await asyncio.Event().wait()
    except BaseExceptionGroup as errors:
        raise _first(errors) from errors


def _bearable(shop: ShopSettings, view: "_View") -> ShopSettings:
    bearable = shop.bearable()
    if bearable != shop:
        rates = f"{bearable.events_per_second:g} events a second, not {shop.events_per_second:g}"
        view.say(f"{shop.shopper_count} shoppers send {rates}: more would be refused as a flood")
    return bearable


def _first(errors: BaseExceptionGroup) -> BaseException:
    """The first real error of nested groups."""
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


async def _shop(traffic: Traffic, client: FreshetClient, observer: Observer) -> None:
    observer.phase = "stocking the shop"
    await traffic.stock()
    status = await Patience(AWAY_SECONDS).until_answered(client.get_model_status)
    if not status.HasField("serving"):
        observer.phase = "writing the past two weeks"
        await traffic.warm_up()
        await _train(client)
    observer.phase = "open"
    await traffic.run()


async def _train(client: FreshetClient) -> None:
    with contextlib.suppress(ResourceExhausted):  # a run that is going on is as good
        await Patience(AWAY_SECONDS).until_answered(client.start_training, (Unavailable, DeadlineExceeded))


async def _keep_alive(suite: Suite, observer: Observer, view: "_View") -> None:
    """Starts again what ends by itself. Raises a group with a LauncherError if a process keeps ending."""

    def notice(text: str) -> None:
        observer.notices.append(text)
        view.say(text)

    await Reviver(suite, view.say, notice).run()


def with_quick_training(settings: SuiteSettings) -> SuiteSettings:
    """The suite with a trainer for a short show, unless the environment says otherwise."""
    quick = {name: value for name, value in QUICK_TRAINING.items() if name not in os.environ}
    trainer = {**quick, **settings.environment.get("trainer", {})}
    return replace(settings, environment={**settings.environment, "trainer": trainer})


class _View:
    """Where the run is shown: a live table on a terminal, a line every few seconds elsewhere."""

    def __init__(self, json_lines: bool) -> None:
        self._json_lines = json_lines
        self._console = Console()

    def say(self, text: str) -> None:
        """Tells one line; where stdout is for programs, on stderr."""
        if self._json_lines:
            print(text, file=sys.stderr, flush=True)
        else:
            self._console.print(Text(text), soft_wrap=True)

    def greet(self, suite: Suite) -> None:
        """Tells how to reach what was started."""
        for line in welcome(suite):
            self.say(line)
        if self._json_lines:
            print(orjson.dumps(whereabouts(suite)).decode(), flush=True)

    async def show(self, observer: Observer) -> None:
        """Shows snapshots until cancelled."""
        if self._json_lines or not self._console.is_terminal:
            await self._lines(observer, json_line if self._json_lines else plain_line)
        with Live(console=self._console, auto_refresh=False) as live:
            while True:
                live.update(table(observer.snapshot()), refresh=True)
                await asyncio.sleep(TABLE_SECONDS)

    async def _lines(self, observer: Observer, line: Callable[..., str]) -> None:
        while True:
            print(line(observer.snapshot()), flush=True)
            await asyncio.sleep(LINE_SECONDS)
