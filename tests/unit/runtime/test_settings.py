"""Settings that every service reads."""

from __future__ import annotations

import socket
from urllib.request import urlopen

import pytest
from pydantic import ValidationError

from shared.runtime.metrics import metrics_endpoint
from shared.runtime.settings import ServiceSettings, read_settings


def test_several_nats_servers_are_separated_by_commas():
    settings = ServiceSettings(nats_url="nats://a:4222, tls://user:secret@b:4223,nats://c")
    assert settings.nats_url == "nats://a:4222,tls://user:secret@b:4223,nats://c"


@pytest.mark.parametrize("bad", ["http://b:4222", "nats://", "nats://b:port", "nats://b:70000", ""])
def test_of_several_nats_servers_the_bad_one_is_named(bad):
    with pytest.raises(ValidationError, match=f"'{bad}' must be"):
        ServiceSettings(nats_url=f"nats://a:4222,{bad}")


@pytest.mark.parametrize(
    "bad", ["postgres://u@h/d", "postgresql://u@h:port/d", "postgresql://u:one/two@h:5432/d", ""]
)
def test_a_database_url_that_cannot_be_read_is_refused_with_what_it_must_be(bad):
    with pytest.raises(ValidationError, match="must be postgresql://user:password@host:port/database"):
        ServiceSettings(database_url=bad)


@pytest.mark.parametrize("url", ["postgres://ann:se%40cret/1@h", "postgresql://ann:secret@h:port/d"])
def test_a_url_that_is_refused_is_told_without_its_password(monkeypatch, capsys, url):
    monkeypatch.setenv("FRESHET_DATABASE_URL", url)
    with pytest.raises(SystemExit):
        read_settings(ServiceSettings)
    told = capsys.readouterr().err
    assert "FRESHET_DATABASE_URL='postgres" in told and "ann:***@h" in told
    assert "cret" not in told


@pytest.mark.parametrize(
    "name, bad",
    [
        ("duplicate_window_seconds", "inf"),
        ("duplicate_window_seconds", "1e12"),
        ("rejected_max_age_seconds", "0.01"),
        ("exposures_max_age_seconds", "1e12"),
        ("deltas_max_bytes", str(10**30)),
    ],
)
def test_what_no_stream_can_keep_is_refused(name, bad):
    with pytest.raises(ValidationError, match=name):
        ServiceSettings(**{name: bad})


@pytest.mark.parametrize("number", [0, 6])
def test_a_stream_has_one_to_five_replicas(number):
    with pytest.raises(ValidationError):
        ServiceSettings(replicas=number)


@pytest.mark.parametrize(
    "address, host", [("127.0.0.1:1", "127.0.0.1"), ("[::]:1", "::"), ("[::1]:1", "::1")]
)
def test_the_host_is_as_sockets_take_it(address, host):
    assert ServiceSettings(grpc_address=address).host == host


def test_metrics_are_served_on_an_ipv6_address_too():
    port = free_port("::1")
    host = ServiceSettings(grpc_address="[::1]:1").host
    with metrics_endpoint(host, port), urlopen(f"http://[::1]:{port}/metrics") as answer:
        assert b"freshet_rpc_total" in answer.read()


def free_port(host: str) -> int:
    with socket.create_server((host, 0), family=socket.AF_INET6) as server:
        return server.getsockname()[1]
