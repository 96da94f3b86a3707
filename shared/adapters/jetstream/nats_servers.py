"""Opens wires to whichever of the known servers takes one.

nats-py keeps the list: the configured URLs, and those that servers tell of in INFO.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from urllib.parse import ParseResult

from nats.aio.client import Client

from shared.adapters.jetstream.nats_wire import Credentials, Wire, WireLostError

OPEN_SECONDS = 2.0
"""Patience with one server."""
_PORT = 4222


async def open_wire(connection: Client) -> Wire:
    """A wire to the server that `connection` uses, or else to another one it knows. Raises WireLostError."""
    failures = []
    for server in _candidates(connection):
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                return await _open(server, _credentials(connection))
        except (OSError, TimeoutError) as error:
            failures.append(f"{server.hostname}:{server.port or _PORT}: {str(error) or 'timed out'}")
    raise WireLostError(f"no NATS server takes a connection ({'; '.join(failures)})")


def _candidates(connection: Client) -> list[ParseResult]:
    """The server in use first; the others in random order, so that many clients do not all choose the same one."""
    servers = connection.servers
    random.shuffle(servers)
    current = connection.connected_url
    address = (current.hostname, current.port) if current else None
    return sorted(servers, key=lambda server: (server.hostname, server.port) != address)


def _credentials(connection: Client) -> Credentials:
    """Those of the connection."""
    words = (connection.options.get(option) or "" for option in ("name", "user", "password", "token"))
    return Credentials(*words)


async def _open(server: ParseResult, credentials: Credentials) -> Wire:
    loop = asyncio.get_running_loop()
    host = server.hostname or "127.0.0.1"
    transport, wire = await loop.create_connection(Wire, host, server.port or _PORT)
    try:
        await wire.greeted()
        if server.scheme == "tls" or wire.info.get("tls_required"):
            await _add_tls(wire, transport, host)
        await wire.log_in(credentials)
    except BaseException as error:
        wire.abort(error if isinstance(error, Exception) else OSError("given up"))
        raise
    return wire


async def _add_tls(wire: Wire, transport: asyncio.Transport, host: str) -> None:
    context = ssl.create_default_context()
    secured = await asyncio.get_running_loop().start_tls(transport, wire, context, server_hostname=host)
    if secured is None:
        raise WireLostError("the connection ended during the TLS handshake")
    wire.replace_transport(secured)
