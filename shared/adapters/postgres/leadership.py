"""Which of several processes leads: the one whose session holds an advisory lock of PostgreSQL.

PostgreSQL frees the lock with the session, however its process ends; while PostgreSQL is away, nobody can take it. So a
leader works on through a restart of PostgreSQL, unless another process has been quicker to ask for the lock afterwards.
Decision: no lease with a time, which a frozen process would lose without knowing. Not for a pooler that hands a
session to many clients.
"""

from __future__ import annotations

import asyncio
import uuid

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.adapters.postgres.database import DEFECTS, UNAVAILABLE, schema_name

_log = structlog.get_logger("leadership")
_ASK_SECONDS = 1.0
_NOTICE_SECONDS = 5.0
"""How long a new leader waits for one that may not know yet that its session is gone: that one asks every second."""
_END_SECONDS = 5.0
_NAME_AND_KEEPALIVE = sa.text(
    "SELECT set_config('application_name', :session, false),"
    " set_config('tcp_keepalives_idle', '60', false), set_config('tcp_keepalives_interval', '10', false),"
    " set_config('tcp_keepalives_count', '5', false)"
)
"""By which PostgreSQL notices within two minutes that a leader's machine is gone, not within two hours. A leader that
is cut off notices sooner: see `_GONE_SECONDS` of `database`."""
_STILL_THERE = sa.text("SELECT 1")
_END_OWN = sa.text(
    "SELECT bool_or(pg_terminate_backend(pid, :milliseconds)) FROM pg_stat_activity"
    " WHERE application_name = :session AND pid <> pg_backend_pid()"
)
_TRY = sa.text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")


class LeadershipLostError(Exception):
    """Another process leads by now."""


class Leadership:
    """The lead in one role of a namespace. held: set from when this process leads; stands_by: whether another does."""

    def __init__(self, engine: AsyncEngine, namespace: str, role: str) -> None:
        self._engine = engine
        self._role, self._namespace = role, namespace
        self._session = f"freshet-{role} {uuid.uuid4().hex}"
        self.held = asyncio.Event()
        self.stands_by = False

    async def keep(self) -> None:
        """Wait for the lead, and keep it until cancelled. Raises LeadershipLostError."""
        while True:
            try:
                await self._lead()
            except DEFECTS:
                raise
            except UNAVAILABLE as error:
                _log.warning("waiting for postgres", role=self._role, reason=repr(error)[:200])
                await asyncio.sleep(_ASK_SECONDS)

    async def _lead(self) -> None:
        """Until the session ends, which raises one of UNAVAILABLE."""
        async with self._engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            try:
                await self._take(connection)
                while True:
                    await connection.execute(_STILL_THERE)
                    await asyncio.sleep(_ASK_SECONDS)
            finally:
                # Not back into the pool: the session, and with it the lock, is to end.
                await connection.invalidate()

    async def _take(self, connection: AsyncConnection) -> None:
        await connection.execute(_NAME_AND_KEEPALIVE, {"session": self._session})
        name = {"name": f"{schema_name(self._namespace)} {self._role}"}
        while not await connection.scalar(_TRY, name):
            if await self._ended_own(connection):
                continue
            self._note_other()
            await asyncio.sleep(_ASK_SECONDS)
        if self.stands_by:
            await asyncio.sleep(_NOTICE_SECONDS)
            await connection.execute(_STILL_THERE)  # else another may have the lock by now
        self.stands_by = False
        if not self.held.is_set():
            _log.info("leads", role=self._role)
        self.held.set()

    async def _ended_own(self, connection: AsyncConnection) -> bool:
        """Whether a session of this process was still there: PostgreSQL learns last that a line was cut, and until
        then it would keep the lock from the very process that leads."""
        own = {"session": self._session, "milliseconds": int(1000 * _END_SECONDS)}
        return bool(await connection.scalar(_END_OWN, own))

    def _note_other(self) -> None:
        told = f"another {self._role} leads in namespace {self._namespace!r}"
        if self.held.is_set():
            raise LeadershipLostError(told)
        if not self.stands_by:
            _log.warning(f"{told}; this one stands by until that one has ended")
        self.stands_by = True
