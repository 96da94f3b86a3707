"""Brokers that the launcher does not start: it says at once, in one line, when they cannot be used."""

from __future__ import annotations

import pytest

from deploy.local.brokers import BrokerSettings, local_nats, local_postgres
from deploy.local.elsewhere import check_brokers
from deploy.local.errors import BrokerAway
from deploy.local.shop.running import RunSettings, run_local
from tests.integration.local.conftest import without_brokers

NOBODY = "127.0.0.1:1"


async def refusal(**urls: str) -> str:
    with pytest.raises(BrokerAway) as caught:
        await check_brokers(BrokerSettings(**urls))
    return str(caught.value)


async def test_nobody_who_answers_is_told_with_the_variable_and_without_the_password():
    told = await refusal(database_url=f"postgresql://me:secret@{NOBODY}/freshet")
    assert told.startswith(f"PostgreSQL at {NOBODY} cannot be used") and "FRESHET_DATABASE_URL" in told
    assert "secret" not in told


async def test_no_log_is_told_with_the_variable_and_without_the_password():
    told = await refusal(nats_url=f"nats://me:secret@{NOBODY}")
    assert told.startswith(f"NATS at {NOBODY} cannot be used") and "FRESHET_NATS_URL" in told
    assert "secret" not in told


async def test_a_wrong_password_and_a_database_that_is_not_there_are_told_as_such(tmp_path):
    async with local_postgres(tmp_path) as server:
        wrong = server.url.replace(server.password, "wrong")
        assert "password authentication failed" in await refusal(database_url=wrong)
        missing = server.url.removesuffix("freshet") + "elsewhere"
        assert 'database "elsewhere" does not exist' in await refusal(database_url=missing)


async def test_brokers_that_answer_pass(tmp_path):
    async with local_nats(tmp_path) as log, local_postgres(tmp_path) as database:
        for scheme in ("postgresql", "postgresql+asyncpg"):
            url = database.url.replace("postgresql", scheme, 1)
            await check_brokers(BrokerSettings(nats_url=log.url, database_url=url))


async def test_no_service_is_started_without_them(tmp_path):
    suite = without_brokers(tmp_path, nats_url=None, services=("ranking",))
    with pytest.raises(BrokerAway):
        await run_local(RunSettings(suite, shop=None))
    assert not list(tmp_path.rglob("*.log"))
