"""Where commands that look at what is stored find it."""

import pytest

from services.console.local_run import local_database_url, local_nats_url
from tests.unit.console.conftest import freshet


def test_the_database_of_a_run_on_this_machine_is_found_by_its_directory(tmp_path, monkeypatch):
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "password").write_text("secret")
    monkeypatch.setenv("FRESHET_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("FRESHET_POSTGRES_PORT", "15433")
    assert local_database_url() == "postgresql://freshet:secret@127.0.0.1:15433/freshet"


def test_without_such_a_run_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("FRESHET_DIRECTORY", str(tmp_path))
    assert local_database_url() is None


@pytest.mark.parametrize("command", [("verify-erasure", "u"), ("replay-check",)])
def test_the_log_of_a_run_on_this_machine_is_found_by_its_port(services, monkeypatch, command):
    monkeypatch.delenv("FRESHET_NATS_URL", raising=False)
    monkeypatch.setenv("FRESHET_NATS_PORT", "1")
    result = freshet(*command)
    assert (result.exit_code, result.stderr) == (
        1,
        "freshet: no NATS at nats://127.0.0.1:1: set FRESHET_NATS_URL\n",
    )


def test_without_a_port_that_is_set_the_log_is_at_the_usual_one(monkeypatch):
    monkeypatch.delenv("FRESHET_NATS_PORT", raising=False)
    assert local_nats_url() == "nats://127.0.0.1:4222"


def test_the_urls_that_are_set_need_no_other_setting_of_this_machine(monkeypatch):
    monkeypatch.setenv("FRESHET_RANKING_PORT", "abc")
    monkeypatch.setenv("FRESHET_NATS_URL", "nats://127.0.0.1:1")
    monkeypatch.setenv("FRESHET_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert "no NATS at nats://127.0.0.1:1" in freshet("verify-erasure", "u").stderr


def test_a_setting_of_this_machine_that_makes_no_sense_is_named_in_a_line(monkeypatch):
    monkeypatch.delenv("FRESHET_DATABASE_URL", raising=False)
    monkeypatch.setenv("FRESHET_RANKING_PORT", "abc")
    result = freshet("verify-erasure", "u")
    told = "freshet: FRESHET_RANKING_PORT='abc' is not a number from 0 to 65535\n"
    assert (result.exit_code, result.stderr) == (1, told)
