"""The brokers of the launcher: what survives, what is left behind, and what an error says."""

import asyncio
import socket
import sys
from pathlib import Path

import asyncpg
import nats
import psutil
import pytest

from deploy.local.brokers import BrokerSettings, PostgresServer, local_brokers, local_nats, local_postgres
from deploy.local.errors import DirectoryInUse, PortTaken, StartFailed
from deploy.local.ports import PortRequest
from deploy.local.process import family
from tests.integration.local.conftest import HERE, eventually, gone

REPOSITORY = HERE.parents[2]


@pytest.fixture
def taken_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def store(url: str, *payloads: bytes) -> None:
    async with await nats.connect(url) as client:
        log = client.jetstream()
        await log.add_stream(name="KEPT", subjects=["kept"])
        for payload in payloads:
            await log.publish("kept", payload)


async def stored(url: str) -> int:
    async with await nats.connect(url) as client:
        return (await client.jetstream().stream_info("KEPT")).state.messages


async def query(url: str, sql: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(sql)
    finally:
        await connection.close()


async def test_messages_survive_a_restart_of_the_launcher(tmp_path):
    async with local_nats(tmp_path) as server:
        await store(server.url, b"one", b"two")
    async with local_nats(tmp_path) as server:
        assert await stored(server.url) == 2


async def test_rows_survive_a_restart_of_the_launcher(tmp_path):
    async with local_postgres(tmp_path) as server:
        await query(server.url, "CREATE TABLE kept AS SELECT 7 AS value")
    async with local_postgres(tmp_path) as server:
        assert (await query(server.url, "SELECT value FROM kept"))[0]["value"] == 7


async def test_nats_keeps_acknowledged_messages_and_its_port_after_sigkill(tmp_path):
    async with local_nats(tmp_path) as server:
        await store(server.url, b"one")
        url = server.url
        await server.sigkill()
        await server.start()
        assert (server.url, await stored(url)) == (url, 1)


async def test_postgres_recovers_from_sigkill_on_the_next_start(tmp_path):
    async with local_postgres(tmp_path) as server:
        session = await asyncpg.connect(server.url)
        await session.execute("CREATE TABLE kept AS SELECT 7 AS value")
        await server.sigkill()
        await server.start()
        assert (await query(server.url, "SELECT value FROM kept"))[0]["value"] == 7
        session.terminate()


async def test_postgres_starts_over_a_pid_file_that_names_a_stranger(tmp_path):
    async with local_postgres(tmp_path) as server:
        await server.sigkill()
        pid_file = tmp_path / "postgres" / "data" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        stranger = str(psutil.Process().pid)
        pid_file.write_text("\n".join([stranger, *lines[1:]]) + "\n")
        await server.start()
        assert await query(server.url, "SELECT 1")


async def test_a_cluster_that_was_never_finished_is_built_anew(tmp_path):
    unfinished = tmp_path / "postgres" / "data.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18")
    async with local_postgres(tmp_path) as server:
        assert await query(server.url, "SELECT 1")


async def test_postgres_asks_for_its_password(tmp_path):
    async with local_postgres(tmp_path) as server:
        wrong = server.url.replace(server.password, "guess")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await query(wrong, "SELECT 1")
        assert (tmp_path / "postgres" / "password").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("broker", "variable"), [(local_nats, "FRESHET_NATS_PORT"), (local_postgres, "FRESHET_POSTGRES_PORT")]
)
async def test_a_taken_port_names_the_port_its_holder_and_the_variable(
    tmp_path, taken_port, broker, variable
):
    with pytest.raises(PortTaken) as failure:
        async with broker(tmp_path, taken_port):
            pass
    message = str(failure.value)
    assert f"port {taken_port} " in message
    assert f"pid {psutil.Process().pid} " in message
    assert variable in message


async def test_a_directory_belongs_to_one_launcher_at_a_time(tmp_path):
    async with local_nats(tmp_path):
        with pytest.raises(DirectoryInUse, match=f"pid {psutil.Process().pid} "):
            async with local_nats(tmp_path):
                pass


async def test_a_server_that_ends_instead_of_serving_quotes_its_log(tmp_path):
    async with local_postgres(tmp_path) as server:
        pass
    (tmp_path / "postgres" / "data" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(StartFailed, match="no_such_setting"):
        await server.start()


async def test_a_kill_of_the_launcher_leaves_no_broker_behind(tmp_path):
    command = [sys.executable, "-m", "tests.integration.local.launcher", str(tmp_path)]
    launcher = await asyncio.create_subprocess_exec(*command, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE)
    brokers = [int(pid) for pid in (await launcher.stdout.readline()).split()]
    children = [process.pid for broker in brokers for process in family(broker)]
    launcher.kill()
    await launcher.wait()
    await eventually(lambda: all(gone(pid) for pid in children))
    assert len(brokers) == 2
    async with local_brokers(BrokerSettings(directory=tmp_path)) as again:
        assert await query(again.database_url, "SELECT 1")


async def test_what_an_earlier_launcher_left_running_is_ended_on_the_next_start(tmp_path):
    async with local_postgres(tmp_path) as left_behind:
        await query(left_behind.url, "CREATE TABLE kept AS SELECT 7 AS value")
        next_one = PostgresServer(tmp_path / "postgres", PortRequest(0, "FRESHET_POSTGRES_PORT"))
        await next_one.start()
        assert not left_behind.running
        assert (await query(next_one.url, "SELECT value FROM kept"))[0]["value"] == 7
        await next_one.stop()


async def test_nothing_runs_after_a_clean_stop(tmp_path):
    async with local_brokers(BrokerSettings(directory=tmp_path)) as brokers:
        pids = [p.pid for server in (brokers.nats, brokers.postgres) for p in family(server.pid)]
    assert all(gone(pid) for pid in pids)


async def test_a_broker_whose_neighbour_fails_is_stopped(tmp_path, taken_port):
    settings = BrokerSettings(directory=tmp_path, postgres_port=taken_port)
    with pytest.raises(PortTaken):
        async with local_brokers(settings):
            pass
    async with local_nats(tmp_path) as server:  # neither the directory nor a process is held
        assert server.running


async def test_brokers_given_by_url_are_used_and_not_started(tmp_path):
    urls = {"nats_url": "nats://elsewhere:4222", "database_url": "postgresql://elsewhere/freshet"}
    async with local_brokers(BrokerSettings(directory=tmp_path, **urls)) as brokers:
        assert (brokers.nats_url, brokers.database_url) == (urls["nats_url"], urls["database_url"])
        assert (brokers.nats, brokers.postgres) == (None, None)
    assert list(tmp_path.iterdir()) == []


async def test_a_paused_broker_answers_again_after_resume(tmp_path):
    async with local_postgres(tmp_path) as server:
        server.pause()
        assert not await server.probe()
        server.resume()
        assert await server.probe()


async def test_a_paused_broker_can_be_stopped(tmp_path):
    async with local_nats(tmp_path) as server:
        server.pause()
    assert gone(server.pid)


async def test_the_monitoring_port_reports_a_sync_with_every_write(tmp_path: Path):
    async with local_nats(tmp_path, monitor_port=0) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.monitor_port)
        writer.write(b"GET /jsz HTTP/1.0\r\n\r\n")
        answer = await reader.read()
        writer.close()
    assert b'"sync_always": true' in answer
