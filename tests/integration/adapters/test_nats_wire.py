"""Our own connection to NATS, against real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import trustme

from deploy.local.brokers import NatsServer
from deploy.local.nats_server import MAX_PAYLOAD_BYTES, PORT_VARIABLE
from deploy.local.ports import PortRequest, free_ports
from shared.adapters.jetstream import nats_servers, nats_wire
from shared.adapters.jetstream.connection import nats_connection
from shared.adapters.jetstream.nats_servers import open_wire
from shared.adapters.jetstream.nats_wire import NoRespondersError, Wire, WireLostError
from tests.conditions import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


class ConfiguredServer(NatsServer):
    """A server with something more in its configuration."""

    def __init__(self, directory: Path, more: str) -> None:
        super().__init__(directory, PortRequest(0, PORT_VARIABLE), None, MAX_PAYLOAD_BYTES)
        self._more = more

    def _configuration(self) -> str:
        return super()._configuration() + self._more


@asynccontextmanager
async def server(directory: Path, more: str = "") -> AsyncIterator[NatsServer]:
    """A server of its own for one test."""
    (directory / "nats").mkdir()
    running = ConfiguredServer(directory / "nats", more)
    try:
        await running.start()
        yield running
    finally:
        await running.stop()


@asynccontextmanager
async def wire_to(url: str) -> AsyncIterator[Wire]:
    """A wire to one of the servers in the URL."""
    async with nats_connection(url, "test") as connection:
        with closing(await open_wire(connection)) as wire:
            yield wire


async def echo(wire: Wire) -> bytes:
    """What comes back of a message that the wire sends to itself."""
    wire.subscribe("echo", lambda message: wire.publish(message.reply.decode(), message.payload))
    return (await wire.request("echo", b"hello", timeout=5)).payload


def with_user(url: str, user: str) -> str:
    return url.replace("nats://", f"nats://{user}@")


async def test_a_request_is_answered(brokers):
    async with wire_to(brokers.nats_url) as wire:
        assert await echo(wire) == b"hello"


async def test_a_request_that_nobody_listens_to_is_answered_at_once(brokers):
    async with wire_to(brokers.nats_url) as wire:
        with pytest.raises(NoRespondersError):
            await wire.request("nobody.listens", b"", timeout=5)


async def test_messages_larger_than_any_buffer_come_whole_and_in_order(brokers):
    async with wire_to(brokers.nats_url) as wire:
        received = []
        wire.subscribe("large", lambda message: received.append(message.payload))
        sent = [bytes([number]) * (MAX_PAYLOAD_BYTES - 100) for number in range(20)]
        for payload in sent:
            wire.publish("large", payload)
            await wire.drain()
        await eventually(lambda: len(received) == len(sent))
        assert received == sent


async def test_a_subscription_that_ended_delivers_nothing(brokers):
    async with wire_to(brokers.nats_url) as wire:
        received = []
        sid = wire.subscribe("ended", received.append)
        wire.unsubscribe(sid)
        wire.publish("ended", b"")
        assert await echo(wire) == b"hello"
        assert received == []


@pytest.mark.parametrize(
    "authorization, user",
    [('user: us, password: "p@ss"', "us:p%40ss"), ('token: "secret"', "secret")],
    ids=["password", "token"],
)
async def test_user_and_password_or_a_token_come_from_the_url(tmp_path, authorization, user):
    more = f"authorization {{ {authorization} }}"
    async with server(tmp_path, more) as running, wire_to(with_user(running.url, user)) as wire:
        assert await echo(wire) == b"hello"


async def test_a_server_that_refuses_us_is_named_with_its_reason(tmp_path):
    users = '{user: one, password: a, permissions: {publish: "allowed.>"}}'
    more = f"authorization {{ users: [{users}] }}"
    async with server(tmp_path, more) as running, wire_to(with_user(running.url, "one:a")) as wire:
        with pytest.raises(WireLostError, match="Permissions Violation"):
            await wire.request("forbidden", b"", timeout=5)


@pytest.fixture
def certificate(tmp_path, monkeypatch) -> tuple[Path, Path]:
    """A certificate of loopback whose authority this process trusts, and its key."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    trusted, path, key = (tmp_path / name for name in ("authority.pem", "certificate.pem", "key.pem"))
    authority.cert_pem.write_to_path(trusted)
    issued.cert_chain_pems[0].write_to_path(path)
    issued.private_key_pem.write_to_path(key)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    return path, key


async def test_tls_is_spoken_and_the_certificate_checked(tmp_path, certificate, monkeypatch):
    more = 'tls {{ cert_file: "{}", key_file: "{}" }}'.format(*certificate)
    async with server(tmp_path, more) as running:
        url = running.url.replace("nats:", "tls:")
        async with nats_connection(url, "test") as connection:
            with closing(await open_wire(connection)) as wire:
                assert await echo(wire) == b"hello"
            monkeypatch.delenv("SSL_CERT_FILE")
            with pytest.raises(WireLostError, match="certificate verify failed"):
                await open_wire(connection)


async def test_of_several_servers_the_next_one_is_tried(brokers, monkeypatch):
    silent = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    monkeypatch.setattr(nats_servers, "OPEN_SECONDS", 0.2)
    dead, mute = free_ports(1)[0], silent.sockets[0].getsockname()[1]
    urls = [f"nats://127.0.0.1:{dead}", brokers.nats_url, f"nats://127.0.0.1:{mute}"]
    async with nats_connection(",".join(urls), "test") as connection, silent:
        monkeypatch.setattr(type(connection), "connected_url", None)
        for _ in range(8):
            (await open_wire(connection)).close()


async def test_what_is_under_way_ends_with_the_connection(tmp_path):
    async with server(tmp_path) as running, wire_to(running.url) as wire:
        wire.subscribe("silence", lambda message: None)
        request = asyncio.create_task(wire.request("silence", b"", timeout=60))
        assert await echo(wire) == b"hello"
        await running.sigkill()
        with pytest.raises(WireLostError):
            await asyncio.wait_for(request, 5)
        with pytest.raises(WireLostError):
            await wire.request("silence", b"", timeout=60)


async def test_a_server_that_falls_silent_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(nats_wire, "PING_SECONDS", 0.2)
    async with server(tmp_path) as running, wire_to(running.url) as wire:
        running.pause()
        await eventually(lambda: wire.lost)
        assert "nothing heard" in str(wire.lost)


async def test_an_idle_connection_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(nats_wire, "PING_SECONDS", 0.05)
    async with server(tmp_path) as running, wire_to(running.url) as wire:
        pings = []
        monkeypatch.setattr(wire, "write", lambda data, send=wire.write: (pings.append(data), send(data)))
        await eventually(lambda: len(pings) > 8)
        assert wire.lost is None


async def test_a_peer_that_does_not_speak_nats_is_left(brokers):
    async with wire_to(brokers.nats_url) as wire:
        wire.data_received(b"HTTP/1.1 400 Bad Request\r\n")
        with pytest.raises(WireLostError, match="unknown frame"):
            await wire.drain()
