"""Ending a run, and the words at its start."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from deploy.local.brokers import Brokers
from deploy.local.instances import environment_of
from deploy.local.settings import DEFAULT_POSTGRES_PORT, GRPC_PORTS, SuiteSettings
from deploy.local.shop.running import until_stopped, with_quick_training
from deploy.local.shop.welcome import examples, welcome, whereabouts
from deploy.local.suite import Suite
from shared.client.addresses import DEFAULTS


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_the_work_in_good_order(number):
    told: list[str] = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            told.append("drained")

    await until_stopped(work(), lambda: told.append("stopping"))
    assert told == ["stopping", "drained"]


@pytest.mark.usefixtures("terminal")
async def test_work_ends_in_good_order_though_nothing_can_be_told_any_more():
    def tell() -> None:
        raise OSError("the terminal is gone")

    async def work() -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.Event().wait()

    await until_stopped(work(), tell)


async def test_an_error_of_the_work_is_raised():
    async def work() -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await until_stopped(work(), lambda: None)


def test_the_environment_wins_over_quick_training(monkeypatch):
    monkeypatch.setenv("FRESHET_TRAIN_MAX_MINUTES", "9")
    trainer = with_quick_training(SuiteSettings()).environment["trainer"]
    assert "FRESHET_TRAIN_MAX_MINUTES" not in trainer
    assert trainer["FRESHET_TRAIN_INTERVAL_SECONDS"] == "180"


def suite(**chosen: object) -> Suite:
    """A suite as it is before anything of it starts, with its brokers where they are by default."""
    return Suite(
        SuiteSettings(**{"postgres_port": DEFAULT_POSTGRES_PORT, **chosen}),
        Brokers("nats://127.0.0.1:4222", "postgresql://127.0.0.1/freshet"),
    )


def test_the_welcome_names_every_address():
    text = "\n".join(welcome(suite()))
    for words in (
        *DEFAULTS.values(),
        "nats://127.0.0.1:4222",
        "postgresql://127.0.0.1/freshet",
        ":9103/metrics",
    ):
        assert words in text


def test_examples_work_as_they_stand_when_ports_are_moved():
    assert not any("export" in line for line in examples(suite()))
    moved = suite(grpc_ports={**GRPC_PORTS, "ranking": 7})
    assert examples(moved)[0] == "export FRESHET_RANKING_ADDRESS=127.0.0.1:7"


def test_examples_find_every_feature_instance():
    owners = "0-7=127.0.0.1:50052,8-15=127.0.0.1:50152"
    assert examples(suite(feature_instances=2))[0] == f"export FRESHET_FEATURE_ADDRESS={owners}"


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"postgres_port": 7},
        {"directory": Path("/elsewhere")},
        {"database_url": "postgresql://127.0.0.1/freshet"},
    ],
)
def test_examples_find_a_database_that_is_not_where_it_is_by_default(elsewhere):
    export = "export FRESHET_DATABASE_URL=postgresql://127.0.0.1/freshet"
    assert examples(suite(**elsewhere))[0] == export


def test_examples_find_a_log_at_another_port_and_a_namespace():
    moved = suite(namespace="mine")
    moved.brokers.nats_url = "nats://127.0.0.1:7"
    assert examples(moved)[0] == "export FRESHET_NATS_URL=nats://127.0.0.1:7 FRESHET_NAMESPACE=mine"


@pytest.mark.parametrize(
    ("domain", "told"),
    [("video", "video"), ("mine.yaml", f"{Path.cwd()}/mine.yaml"), ("/etc/mine.yml", "/etc/mine.yml")],
)
def test_services_find_a_preset_file_wherever_they_run(domain, told):
    whole = suite(domain=domain)
    environment = environment_of(whole.instances[0], whole.settings, whole.brokers, whole.owners)
    assert environment["FRESHET_DOMAIN"] == told


def test_programs_are_told_the_addresses():
    told = whereabouts(suite(feature_instances=2))
    assert told["addresses"] == DEFAULTS
    assert told["instances"]["feature-1"] == "127.0.0.1:50152"
    assert told["environment"]["FRESHET_FEATURE_ADDRESS"] == "0-7=127.0.0.1:50052,8-15=127.0.0.1:50152"
