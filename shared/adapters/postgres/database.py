"""The connection to PostgreSQL: one schema per namespace, made when it is missing."""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import asyncpg
import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.schema import CreateColumn

from shared.adapters.postgres.tables import events, metadata
from shared.domain.stream_settings import UnfitSettingError

T = TypeVar("T")
_log = structlog.get_logger("database")
DEFECTS = (ProgrammingError, DataError, IntegrityError, NotSupportedError)
"""What a call raises because it is wrong in itself: trying again is of no use. Catch these before UNAVAILABLE."""
UNAVAILABLE = (OSError, TimeoutError, DBAPIError, sa.exc.TimeoutError)
"""What a call raises while PostgreSQL is away; the last one, which is no TimeoutError, when all connections are taken:
while PostgreSQL is frozen, by calls that wait for it."""
_NOT_MADE = ("42P01", "3F000")
"""PostgreSQL's states for a table and a schema that is not there."""
_FIRST_RETRY_SECONDS = 0.1
_LONGEST_RETRY_SECONDS = 5.0
_CLOSE_SECONDS = 3.0
_GONE_SECONDS, _ASK_SECONDS = 60, 15
"""A machine that is gone, which no packet tells of, is asked so often and given up after so long."""
_KEPT_ALIVE = {
    "TCP_KEEPIDLE": _ASK_SECONDS,
    "TCP_KEEPINTVL": _ASK_SECONDS,
    "TCP_KEEPCNT": _GONE_SECONDS // _ASK_SECONDS,
    "TCP_USER_TIMEOUT": 1000 * _GONE_SECONDS,
}
"""Options of TCP, of which a system may lack some."""
_given_up: set[asyncio.Task[Any]] = set()


class TablesMissingError(ConnectionError):
    """The tables are not made yet. Each service sees to that as it starts, while others may ask already: until then
    PostgreSQL is as good as away."""


def schema_name(namespace: str) -> str:
    """The schema of a namespace."""
    return f"freshet_{namespace}" if namespace else "freshet"


@asynccontextmanager
async def database_engine(url: str, namespace: str, application: str) -> AsyncIterator[AsyncEngine]:
    """An engine whose tables live in the namespace's schema. Nothing is connected until the first use. url: as libpq
    takes it. Raises UnfitSettingError for one with parameters that are not known."""
    engine = create_async_engine(
        _for_asyncpg(url),
        pool_size=4,
        max_overflow=4,
        pool_timeout=5,
        pool_pre_ping=True,
        connect_args={"timeout": 5, "server_settings": {"application_name": f"freshet-{application}"}},
        execution_options={"schema_translate_map": {None: schema_name(namespace)}},
    )
    sa.event.listen(engine.sync_engine, "handle_error", _tell_missing_tables)
    sa.event.listen(engine.sync_engine, "connect", _keep_alive)
    try:
        yield engine
    finally:
        with suppress(TimeoutError):  # while PostgreSQL is frozen, the process is to end all the same
            await within(_CLOSE_SECONDS, engine.dispose())


def _for_asyncpg(url: str) -> sa.URL:
    """SQLAlchemy hands the parameters of a URL on to asyncpg, which calls libpq's `sslmode` `ssl`."""
    location = sa.make_url(url).set(drivername="postgresql+asyncpg")
    words = {"ssl" if word == "sslmode" else word: value for word, value in location.query.items()}
    known = {*inspect.signature(asyncpg.connect).parameters, "prepared_statement_cache_size"}
    if unknown := ", ".join(sorted(words.keys() - known)):
        raise UnfitSettingError(
            f"FRESHET_DATABASE_URL: no connection has the parameter {unknown}; leave it out"
        )
    return location.set(query=words)


def _keep_alive(connection: sa.engine.interfaces.DBAPIConnection, _: Any) -> None:
    """Without it a statement that is under way as PostgreSQL's machine goes waits for good: asyncpg sets no option."""
    line = connection.driver_connection._transport.get_extra_info("socket")
    if line is None or line.family not in (socket.AF_INET, socket.AF_INET6):
        return
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEPT_ALIVE.items():
        if hasattr(socket, name):
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _tell_missing_tables(context: sa.engine.ExceptionContext) -> Exception | None:
    """What to raise instead of the error; None for the error itself."""
    state = getattr(context.original_exception, "sqlstate", "")
    return TablesMissingError(str(context.original_exception)) if state in _NOT_MADE else None


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work` on the database. Raises TimeoutError when it takes longer, as it does while PostgreSQL is
    frozen; closing the connection takes some seconds more then, which the caller does not wait for."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return task.result()
        raise TimeoutError(f"PostgreSQL has not answered within {seconds:.1f} s")
    finally:
        if not task.done():
            _give_up(task)


def _give_up(task: asyncio.Task[Any]) -> None:
    """Cancel a task that nobody waits for any more; how it ends is of no interest."""
    _given_up.add(task)
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    task.add_done_callback(_given_up.discard)
    task.cancel()


async def ensure_tables(engine: AsyncEngine, namespace: str) -> None:
    """Create schema and tables where missing, waiting for PostgreSQL as long as it takes.

    Several services do this at once: an advisory lock lets one go first.
    """
    delay = _FIRST_RETRY_SECONDS
    while True:
        try:
            return await _create(engine, namespace)
        except DEFECTS:
            raise
        except UNAVAILABLE as error:
            where = {"server": f"{engine.url.host}:{engine.url.port}", "setting": "FRESHET_DATABASE_URL"}
            _log.warning("waiting for postgres", **where, reason=repr(error)[:200])
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_RETRY_SECONDS)


async def _create(engine: AsyncEngine, namespace: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('freshet tables'))"))
        await connection.execute(sa.text(f'CREATE SCHEMA IF NOT EXISTS "{schema_name(namespace)}"'))
        await connection.run_sync(metadata.create_all)
        await connection.run_sync(_add_missing_columns, schema_name(namespace))
        # An archive that an earlier version made lacks the index that visits are looked up by.
        for index in events.indexes:
            await connection.run_sync(partial(index.create, checkfirst=True))


def _add_missing_columns(connection: sa.Connection, schema: str) -> None:
    """Columns that a newer version of Freshet has; each comes with a default for the rows that are there."""
    inspector = sa.inspect(connection)
    for table in metadata.sorted_tables:
        there = {column["name"] for column in inspector.get_columns(table.name, schema)}
        for column in table.columns:
            if column.name not in there:
                declared = CreateColumn(column).compile(dialect=connection.dialect)
                connection.execute(sa.text(f'ALTER TABLE "{schema}".{table.name} ADD COLUMN {declared}'))
