"""Starting again what ends by itself."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from deploy.local.errors import EndedEarly, LauncherError
from deploy.local.server import Death, Server
from deploy.local.suite import Suite

DEATHS, DEATHS_WITHIN_SECONDS = 3, 60.0


class Reviver:
    """Keeps the servers of a suite alive. `say` hears of each that ends, `notice` of each that serves again."""

    def __init__(self, suite: Suite, say: Callable[[str], None], notice: Callable[[str], None]) -> None:
        self._suite, self._say, self._notice = suite, say, notice
        self._deaths: dict[str, deque[float]] = {}

    async def run(self) -> None:
        """Starts again what ends, until cancelled. Raises a group with a LauncherError if a process keeps ending.

        Decision: each in a task of its own. A service that waits for a broker which has died too would else be waited
        for, and the broker would stand behind it.
        """
        async with asyncio.TaskGroup() as group:
            while True:
                death = await self._suite.death()
                group.create_task(self._revive(death), name=f"revive {death.name}")

    async def _revive(self, death: Death) -> None:
        server = self._server(death.name)
        while True:
            self._count(death)
            self._say(f"{death.name} ended with code {death.returncode}; starting it again")
            try:
                # However long it takes: it may have a large log to read, or wait for another that has died too.
                await server.start(patiently=True)
            except EndedEarly as again:
                death = Death(death.name, again.returncode, again.log_tail)
            else:
                return self._notice(f"{death.name} ended with code {death.returncode}; started again")

    def _count(self, death: Death) -> None:
        times = self._deaths.setdefault(death.name, deque(maxlen=DEATHS))
        times.append(time.monotonic())
        if len(times) == DEATHS and times[-1] - times[0] < DEATHS_WITHIN_SECONDS:
            raise LauncherError(f"{death.name} keeps ending\n{death}")

    def _server(self, name: str) -> Server:
        brokers = (self._suite.brokers.nats, self._suite.brokers.postgres)
        return next((each for each in brokers if each and each.name == name), None) or self._suite.service(
            name
        )
