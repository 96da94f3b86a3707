"""One NATS connection per process, which never gives up reconnecting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import unquote, urlsplit

import nats.errors
import structlog
from nats.aio.client import Client
from nats.protocol.parser import PERMISSIONS_ERR, STALE_CONNECTION

_log = structlog.get_logger("nats")
TELL_AGAIN_SECONDS = 30.0


class SturdyClient(Client):
    """A client that neither a stored message nor an error that the server tells can bring down for good.

    Decision: nats-py 2.16 never connects again after most errors of the server: that connections are too many, that
    users have changed, that a message is too large with its headers. Here these are a lost connection like any other.

    Decision: publishers write headers as they like, and nats-py 2.16 loses its connection over a header block without
    a version line, and takes a stored message with a `Status` header for word from the server, so that it would come
    again for ever and never reach the door. Stored messages are those with a reply subject for acknowledgement.
    """

    _stored = False

    async def _process_err(self, err_msg: str) -> None:
        if PERMISSIONS_ERR in err_msg or STALE_CONNECTION in err_msg:
            return await super()._process_err(err_msg)
        error = nats.errors.Error(f"nats: {err_msg}")
        await self._error_cb(error)
        await self._process_op_err(error)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        self._stored = bytes(reply or b"").startswith(b"$JS.ACK.")
        await super()._process_msg(sid, subject, reply, data, headers)

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        try:
            read = await super()._process_headers(headers)
        except Exception as error:
            _log.debug("headers of a message cannot be read; they are left out", reason=repr(error))
            return None
        if self._stored and read:
            read.pop("Status", None)
        return read


@asynccontextmanager
async def nats_connection(url: str, name: str) -> AsyncIterator[Client]:
    """Connect to one of the servers in `url`, separated by commas, waiting for it to come up; flush and close on exit.

    All servers are told the same user and password, or token: the first that a URL holds, percent-encoded there. The
    log's readers and writers open wires of their own, to the servers that this connection knows.
    """
    urls = [each.strip() for each in url.split(",")]
    connection = SturdyClient()
    await connection.connect(
        urls,
        name=name,
        **_credentials(urls),  # type: ignore[arg-type]
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.25,  # type: ignore[arg-type]
        ping_interval=5,
        max_outstanding_pings=2,
        allow_reconnect=True,
        error_cb=_Errors(urls).tell,
        disconnected_cb=partial(_on_disconnected, connection),
        reconnected_cb=_on_reconnected,
        pending_size=64 * 1024 * 1024,
    )
    try:
        yield connection
    finally:
        await connection.close()


async def try_nats(url: str, timeout_seconds: float) -> None:
    """Connect to one of the servers in `url`, and leave. When none lets us in, raises what the last of them said:
    OSError or nats.errors.Error; TimeoutError when none said anything; ValueError for what is no URL."""
    urls = [each.strip() for each in url.split(",")]
    connection, said = Client(), list[Exception]()

    async def note(error: Exception) -> None:
        said.append(error)

    once = {"max_reconnect_attempts": 1, "reconnect_time_wait": 0, "error_cb": note}
    try:
        async with asyncio.timeout(timeout_seconds):
            await connection.connect(urls, **once, **_credentials(urls))  # type: ignore[arg-type]
    except nats.errors.NoServersError as error:
        raise said[-1] if said else error from None
    finally:
        await connection.close()


def _credentials(urls: Sequence[str]) -> dict[str, str]:
    """The first that a URL holds, as user and password or as token; nats-py would not undo their escapes."""
    for url in map(urlsplit, urls):
        if url.username and url.password:
            return {"user": unquote(url.username), "password": unquote(url.password)}
        if url.username:
            return {"token": unquote(url.username)}
    return {}


class _Errors:
    """Tells errors with the servers that they are about. One that comes again with every try to connect, four times a
    second, is told once in a while."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._servers = ",".join(url.rpartition("@")[2].removeprefix("nats://") for url in urls)
        self._told: dict[str, float] = {}

    async def tell(self, error: Exception) -> None:
        text, now = str(error) or type(error).__name__, time.monotonic()
        self._told = {each: told for each, told in self._told.items() if now - told < TELL_AGAIN_SECONDS}
        if text in self._told:
            return
        self._told[text] = now
        _log.warning("nats error", error=text, servers=self._servers, setting="FRESHET_NATS_URL")


async def _on_disconnected(connection: Client) -> None:
    if not connection.is_closed:  # nats-py calls this also for a connection that we close
        _log.warning("nats connection lost")


async def _on_reconnected() -> None:
    _log.info("nats connection is back")
