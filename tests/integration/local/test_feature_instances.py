"""Several feature instances in one suite: what they are told, what they are called, and who starts one again."""

import asyncio
import contextlib

import psutil
import pytest

from deploy.local.errors import LauncherError, SettingsError
from deploy.local.instances import instances_of
from deploy.local.settings import GRPC_PORTS, SuiteSettings
from deploy.local.shop.running import RunSettings, run_local
from deploy.local.suite import local_suite
from shared.domain.owners import parse_owners
from tests.integration.local.conftest import eventually, without_brokers
from tests.integration.local.test_suite import told


def instances(directory, count: int, **chosen: object) -> SuiteSettings:
    """Stand-ins of the feature service and of ranking."""
    return without_brokers(directory, services=("feature", "ranking"), feature_instances=count, **chosen)


async def test_instances_are_told_their_share_of_the_partitions_and_all_owners(tmp_path):
    async with local_suite(instances(tmp_path, 3)) as suite:
        names = ["feature-0", "feature-1", "feature-2"]
        shares = [told(tmp_path, name)["FRESHET_OWNED_PARTITIONS"] for name in names]
        owners = parse_owners(told(tmp_path, "ranking")["FRESHET_FEATURE_ADDRESS"], 16)
        assert shares == ["0-5", "6-10", "11-15"]
        assert owners.instances == tuple(suite.address(name) for name in names)
        assert {told(tmp_path, name)["FRESHET_FEATURE_ADDRESS"] for name in names} == {owners.text}


async def test_a_variable_can_be_given_to_one_instance_alone(tmp_path):
    given = {"feature": {"FRESHET_LOG_LEVEL": "debug"}, "feature-1": {"FRESHET_LOG_LEVEL": "error"}}
    async with local_suite(instances(tmp_path, 2, environment=given)):
        levels = [told(tmp_path, name)["FRESHET_LOG_LEVEL"] for name in ("feature-0", "feature-1")]
        assert levels == ["debug", "error"]


async def test_the_address_of_the_service_is_that_of_its_first_instance(tmp_path):
    async with local_suite(instances(tmp_path, 2)) as suite:
        assert suite.address("feature") == suite.address("feature-0") != suite.address("feature-1")
        with pytest.raises(LauncherError, match=r"'feature'.*feature-0, feature-1"):
            suite.service("feature")


async def test_an_instance_that_dies_is_started_again_with_its_partitions(tmp_path, capsys):
    said: list[str] = []

    def is_said(words: str) -> bool:
        said.append(capsys.readouterr().out)
        return words in "".join(said)

    suite = instances(tmp_path, 2, nats_url=None, database_url=None)
    task = asyncio.create_task(run_local(RunSettings(suite, shop=None)))
    await eventually(lambda: is_said("Freshet is up"))
    owner_of("8-15").kill()
    await eventually(lambda: is_said("feature-1 ended with code -9; started again"))
    assert owner_of("8-15").is_running()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def test_the_environment_can_name_the_number_of_instances_too():
    assert SuiteSettings.from_environment({"FRESHET_FEATURE_INSTANCES": "3"}).feature_instances == 3
    with pytest.raises(SettingsError, match=r"FRESHET_FEATURE_INSTANCES to a number from 1 to 16"):
        SuiteSettings.from_environment({"FRESHET_FEATURE_INSTANCES": "17"})


def test_a_port_that_leaves_no_room_for_all_instances_names_its_variable():
    ports = {**GRPC_PORTS, "feature": 65_500}
    with pytest.raises(SettingsError, match="FRESHET_FEATURE_PORT=65500"):
        instances_of(SuiteSettings(grpc_ports=ports, feature_instances=2))


def test_a_port_that_two_processes_are_to_listen_on_names_both_variables():
    ports = {**GRPC_PORTS, "ranking": GRPC_PORTS["feature"]}
    both = "FRESHET_FEATURE_PORT and FRESHET_RANKING_PORT lead to the same port 50052"
    with pytest.raises(SettingsError, match=both):
        instances_of(SuiteSettings(grpc_ports=ports))


def owner_of(partitions: str) -> psutil.Process:
    """Our child that was told to own these partitions."""
    variable = "FRESHET_OWNED_PARTITIONS"
    children = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    (owner,) = (child for child in children if child.environ().get(variable) == partitions)
    return owner
