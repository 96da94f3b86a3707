"""Sends cases to the NATS door over a bare connection, and follows what becomes of them."""

from __future__ import annotations

import asyncio
import json
import random

from nats.aio.client import Client
from nats.aio.msg import Msg

from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1.ingestion_pb2 import DeadLetter
from shared.adapters.jetstream.log_reader import LogReader, LogSource
from shared.adapters.jetstream.streams import Names
from tests.fuzz.kinds import Case, make_case, valid_event
from tests.fuzz.tally import NATS, Tally

UNACKNOWLEDGED = 1000
PROBE_EVERY = 400


class NatsDoor:
    """A publisher that writes the protocol itself, so that header blocks can be as broken as a sender may make them."""

    def __init__(self, connection: Client, names: Names, tally: Tally, rng: random.Random) -> None:
        self._connection, self._names, self._tally, self._rng = connection, names, tally, rng
        self._inbox = connection.new_inbox()
        self._on_disk = asyncio.Semaphore(UNACKNOWLEDGED)
        self._probes = 0

    async def open(self) -> None:
        """Connect."""
        host, port = self._connection.connected_url.netloc.rsplit(":", 1)
        self._reader, self._writer = await asyncio.open_connection(host, int(port))
        await self._reader.readline()
        self._writer.write(b'CONNECT {"headers":true,"verbose":false,"echo":false}\r\n')
        self._answering = asyncio.create_task(self._answer_pings())
        await self._connection.subscribe(self._inbox, cb=self._acknowledged)

    async def close(self) -> None:
        """Disconnect."""
        self._answering.cancel()
        self._writer.close()

    async def send(self, count: int) -> None:
        """Publishes `count` messages that must be refused, and probes among them that must not."""
        for number in range(count):
            case = make_case(self._rng)
            self._tally.published(case.kind, case.payload)
            await self._publish(case)
            if number % PROBE_EVERY == 0:
                self._probes += 1
                probe = valid_event(self._rng, f"probe-nats-{self._probes}")
                await self._publish(Case("probe", probe.SerializeToString(), {}))

    @property
    def probes(self) -> int:
        """How many valid events were published."""
        return self._probes

    async def _publish(self, case: Case) -> None:
        await self._on_disk.acquire()
        block = case.header_block
        if block is None and case.headers:
            lines = [f"{key}: {value}" for key, value in case.headers.items()]
            block = "\r\n".join(["NATS/1.0", *lines, "", ""]).encode()
        subject, reply = self._names.door.encode(), self._inbox.encode()
        if block is None:
            self._writer.write(b"PUB %s %s %d\r\n" % (subject, reply, len(case.payload)))
        else:
            size = len(block)
            self._writer.write(b"HPUB %s %s %d %d\r\n" % (subject, reply, size, size + len(case.payload)))
            self._writer.write(block)
        self._writer.write(case.payload + b"\r\n")
        await self._writer.drain()

    async def _acknowledged(self, message: Msg) -> None:
        self._on_disk.release()
        if "error" in json.loads(message.data):
            self._tally.miss(f"nats: the door's stream refused a message: {message.data!r}")

    async def _answer_pings(self) -> None:
        while line := await self._reader.readline():
            if line.startswith(b"PING"):
                self._writer.write(b"PONG\r\n")
            elif line.startswith(b"-ERR"):
                self._tally.miss(f"nats: the server said {line!r}")


async def follow_letters(connection: Client, names: Names, tally: Tally) -> None:
    """Tallies dead letters until cancelled."""
    source = LogSource(names.stream("REJECTED"), [names.dead_letters])
    async for batch in LogReader(connection, source).batches():
        for message in batch:
            tally.letter(DeadLetter.FromString(message.payload))


async def follow_probes(connection: Client, names: Names, tally: Tally) -> None:
    """Counts the NATS door's probes in the log until cancelled; anything else there is a miss."""
    seen: set[str] = set()
    source = LogSource(names.events, [names.subject("events.v1.*.*")])
    async for batch in LogReader(connection, source).batches():
        for message in batch:
            event_id = UserEvent.FromString(message.payload).event_id
            if event_id in seen or not event_id.startswith("probe-"):
                tally.miss(f"the log holds what should not be there: {event_id}")
            seen.add(event_id)
            tally.probes[NATS] += event_id.startswith("probe-nats-")
