"""Ending a run, and the words at its start."""

import asyncio
import os
import signal
from types import SimpleNamespace

import pytest

from deploy.local.settings import SuiteSettings
from deploy.local.shop.running import until_stopped, with_quick_training
from deploy.local.shop.welcome import examples, welcome, whereabouts
from shared.client.addresses import DEFAULTS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
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


def suite(**moved: str) -> SimpleNamespace:
    """What the welcome reads of a suite."""
    addresses = {**DEFAULTS, **moved}
    return SimpleNamespace(
        settings=SuiteSettings(),
        address=addresses.__getitem__,
        nats_url="nats://127.0.0.1:4222",
        database_url="postgresql://127.0.0.1/freshet",
        brokers=SimpleNamespace(nats=None),
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
    assert examples(suite(ranking="127.0.0.1:7"))[0] == "export FRESHET_RANKING_ADDRESS=127.0.0.1:7"


def test_programs_are_told_the_addresses():
    assert whereabouts(suite())["addresses"]["ranking"] == DEFAULTS["ranking"]
