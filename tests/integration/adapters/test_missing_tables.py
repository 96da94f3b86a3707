"""A service that starts may ask before the tables are made: PostgreSQL counts as away until then."""

from __future__ import annotations

import uuid

import pytest

from shared.adapters.postgres.archive import Archive
from shared.adapters.postgres.database import UNAVAILABLE, TablesMissingError, database_engine, ensure_tables

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_tables_that_are_not_made_yet_are_awaited_as_postgres_is(brokers):
    namespace = f"early_{uuid.uuid4().hex[:8]}"
    async with database_engine(brokers.database_url, namespace, "test") as engine:
        with pytest.raises(UNAVAILABLE) as caught:
            await Archive(engine).newest_payloads([1])
        assert isinstance(caught.value, TablesMissingError)
        await ensure_tables(engine, namespace)
        assert await Archive(engine).newest_payloads([1]) == {}
