"""The suite: services as processes, what they are told, how they end, and who hears of it."""

import asyncio
import json
import os
import signal
import socket

import pytest

from deploy.local.errors import LauncherError, PortTaken, SettingsError, StartFailed
from deploy.local.suite import SuiteSettings, local_suite
from tests.integration.local.conftest import eventually, gone, stand_in, without_brokers

SERVICES = ("ingestion", "feature", "ranking", "trainer")


def told(directory, service: str) -> dict[str, str]:
    """The environment that a stand-in wrote into its log when it started."""
    return json.loads((directory / "logs" / f"{service}.log").read_text().splitlines()[0])


async def test_every_service_serves_when_the_suite_is_entered(tmp_path):
    async with local_suite(without_brokers(tmp_path)) as suite:
        assert [await suite.service(name).probe() for name in SERVICES] == [True] * 4
        assert len({suite.address(name) for name in SERVICES}) == 4


async def test_services_are_told_the_brokers_of_the_suite(tmp_path):
    settings = SuiteSettings.on_free_ports(directory=tmp_path, command=stand_in, services=("feature",))
    async with local_suite(settings) as suite:
        environment = told(tmp_path, "feature")
        assert environment["FRESHET_NATS_URL"] == suite.nats_url == suite.brokers.nats.url
        assert environment["FRESHET_DATABASE_URL"] == suite.database_url == suite.brokers.postgres.url


async def test_ranking_is_told_where_features_are_and_extra_variables_win(tmp_path):
    extra = {"ranking": {"FRESHET_LOG_LEVEL": "debug"}}
    settings = without_brokers(tmp_path, namespace="mine", log_level="info", environment=extra)
    async with local_suite(settings) as suite:
        ranking = told(tmp_path, "ranking")
        assert ranking["FRESHET_FEATURE_ADDRESS"] == suite.address("feature")
        assert (ranking["FRESHET_NAMESPACE"], ranking["FRESHET_LOG_LEVEL"]) == ("mine", "debug")
        assert told(tmp_path, "trainer")["FRESHET_LOG_LEVEL"] == "info"
        assert "FRESHET_FEATURE_ADDRESS" not in told(tmp_path, "trainer")


async def test_services_drain_when_the_suite_ends(tmp_path):
    async with local_suite(without_brokers(tmp_path, services=("ranking",))) as suite:
        pid = suite.service("ranking").pid
    assert gone(pid)
    assert (tmp_path / "logs" / "ranking.log").read_text().endswith("drained\n")


async def test_a_service_that_does_not_drain_in_time_is_killed(tmp_path):
    stubborn = {"trainer": {"STAND_IN": "stubborn"}}
    settings = without_brokers(tmp_path, services=("trainer",), environment=stubborn, drain_seconds=0.2)
    async with local_suite(settings) as suite:
        service = suite.service("trainer")
    assert service.child.returncode == -signal.SIGKILL


async def test_a_killed_service_starts_again_at_the_same_address(tmp_path):
    async with local_suite(without_brokers(tmp_path, services=("feature",))) as suite:
        address, pid = suite.address("feature"), suite.service("feature").pid
        await suite.kill("feature")
        assert not await suite.service("feature").probe()
        await suite.start("feature")
        assert await suite.service("feature").probe()
        assert suite.address("feature") == address
        assert suite.service("feature").pid != pid


async def test_a_restart_drains_first(tmp_path):
    async with local_suite(without_brokers(tmp_path, services=("feature",))) as suite:
        await suite.restart("feature")
        assert "drained" in (tmp_path / "logs" / "feature.log").read_text()
        assert await suite.service("feature").probe()


async def test_an_unexpected_death_is_told_once_and_an_ordered_one_never(tmp_path):
    async with local_suite(without_brokers(tmp_path, services=("feature", "ranking"))) as suite:
        await suite.kill("feature")
        os.kill(suite.service("ranking").pid, signal.SIGKILL)
        death = await asyncio.wait_for(suite.death(), 10)
        assert (death.name, death.returncode) == ("ranking", -signal.SIGKILL)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(suite.death(), 0.1)


async def test_the_death_of_a_broker_is_told_too(tmp_path):
    settings = SuiteSettings.on_free_ports(directory=tmp_path, command=stand_in, services=())
    async with local_suite(settings) as suite:
        os.kill(suite.brokers.nats.pid, signal.SIGKILL)
        assert (await asyncio.wait_for(suite.death(), 10)).name == "nats"


async def test_a_service_that_crashes_at_start_quotes_its_log_and_ends_the_others(tmp_path):
    settings = without_brokers(tmp_path, environment={"trainer": {"STAND_IN": "crash"}})
    with pytest.raises(StartFailed, match=r"(?s)trainer ended with code 1.*no such table: users"):
        async with local_suite(settings):
            pass
    assert (tmp_path / "logs" / "ranking.log").read_text().endswith("drained\n")


async def test_of_a_log_only_what_this_start_wrote_is_quoted(tmp_path):
    crash = {"trainer": {"STAND_IN": "crash"}}
    settings = without_brokers(tmp_path, services=("trainer",), environment=crash)
    log = tmp_path / "logs" / "trainer.log"
    log.parent.mkdir()
    log.write_text("the reason of last week\n")
    with pytest.raises(StartFailed, match="no such table: users") as failure:
        async with local_suite(settings):
            pass
    assert "last week" not in str(failure.value)


async def test_a_service_that_never_serves_times_out_with_its_log(tmp_path):
    unwell = {"feature": {"STAND_IN": "unwell"}}
    settings = without_brokers(tmp_path, services=("feature",), environment=unwell, ready_seconds=1.5)
    with pytest.raises(StartFailed, match=r"(?s)feature was not ready within 1\.5 s.*FRESHET_NAMESPACE"):
        async with local_suite(settings):
            pass


async def test_a_taken_service_port_names_the_port_and_the_variable(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        settings = without_brokers(tmp_path, services=("ranking",), grpc_ports={"ranking": port})
        with pytest.raises(PortTaken, match=rf"port {port} .*FRESHET_RANKING_PORT"):
            async with local_suite(settings):
                pass


async def test_a_paused_service_does_not_serve_until_it_is_resumed(tmp_path):
    async with local_suite(without_brokers(tmp_path, services=("feature",))) as suite:
        service = suite.service("feature")
        service.pause()
        assert not await service.probe()
        service.resume()
        assert await service.probe()


async def test_an_unknown_service_is_named_with_the_known_ones(tmp_path):
    async with local_suite(without_brokers(tmp_path, services=("feature",))) as suite:
        with pytest.raises(LauncherError, match=r"'rankin'.*feature"):
            suite.address("rankin")


async def test_a_cancelled_start_leaves_no_service_behind(tmp_path):
    unwell = {"feature": {"STAND_IN": "unwell"}}
    settings = without_brokers(tmp_path, services=("feature",), environment=unwell)
    log = tmp_path / "logs" / "feature.log"
    entering = asyncio.create_task(local_suite(settings).__aenter__())
    await eventually(lambda: log.exists() and "FRESHET_" in log.read_text())
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    port = int(told(tmp_path, "feature")["FRESHET_GRPC_ADDRESS"].rsplit(":", 1)[1])
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_settings_from_the_environment_default_to_the_documented_ports():
    settings = SuiteSettings.from_environment({})
    assert settings.grpc_ports == dict(zip(SERVICES, range(50051, 50055), strict=True))
    assert settings.metrics_ports == dict(zip(SERVICES, range(9101, 9105), strict=True))
    assert settings.namespace == ""


def test_settings_from_the_environment_use_given_brokers_and_ports():
    settings = SuiteSettings.from_environment(
        {
            "FRESHET_NATS_URL": "nats://a:1",
            "FRESHET_DATABASE_URL": "postgresql://b/c",
            "FRESHET_RANKING_PORT": "0",
        }
    )
    assert (settings.nats_url, settings.database_url) == ("nats://a:1", "postgresql://b/c")
    assert (settings.grpc_ports["ranking"], settings.grpc_ports["feature"]) == (0, 50052)


def test_one_settings_error_lists_every_bad_variable():
    bad = {"FRESHET_NATS_PORT": "x", "FRESHET_TRAINER_METRICS_PORT": "70000"}
    with pytest.raises(SettingsError, match=r"FRESHET_NATS_PORT='x'.*FRESHET_TRAINER_METRICS_PORT='70000'"):
        SuiteSettings.from_environment(bad)
