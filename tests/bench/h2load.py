"""Load from h2load, one process for each user: it can send one body only."""

from __future__ import annotations

import asyncio
import re
import shutil
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.bench.result import BenchError

INSTALL = "h2load is missing; on Debian and Ubuntu: apt-get install nghttp2-client"
STREAMS = 16
WARM_UP_SECONDS = 1
RATE_SHARE = 0.9
"""Of the calls that are due, this many are answered or under way at the end."""
_HEADERS = ("content-type: application/grpc", "te: trailers")
_REQUESTS = re.compile(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed")
_TRAFFIC = re.compile(r"traffic: \S+ \((\d+)\) total")


@dataclass(frozen=True)
class Target:
    """A gRPC method and what to send it: address as host:port, path as /service/method, a body file per user."""

    address: str
    path: str
    bodies: Sequence[Path]


@dataclass(frozen=True)
class Pressure:
    """More than can be answered: calls per second in all, how many at once on each connection, and the deadline that
    the calls carry."""

    rate: float
    streams: int
    deadline_seconds: float


@dataclass(frozen=True)
class Load:
    """What came of a load. latencies: seconds, of each answer. bytes: of all answers with their frames."""

    seconds: float
    succeeded: int
    failed: int
    bytes: int
    latencies: np.ndarray

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.succeeded / self.seconds


def require_h2load() -> None:
    """Raises BenchError, saying how to install it, when there is none."""
    if shutil.which("h2load") is None:
        raise BenchError(INSTALL)


def write_body(path: Path, message: bytes) -> Path:
    """A serialised message with gRPC's prefix: not compressed, and its length."""
    path.write_bytes(b"\0" + struct.pack(">I", len(message)) + message)
    return path


async def load(target: Target, seconds: int, rate: float | None = None) -> Load:
    """Send for `seconds` after a warm-up: `rate` calls per second in all, or as many as are answered.

    Raises BenchError when a call fails, or when fewer are answered than the rate says: those that could not be sent in
    time would be missing among the latencies.
    """
    require_h2load()
    pacing = [] if rate is None else [f"--rps={rate / len(target.bodies):.3f}"]
    loads = await asyncio.gather(*[_one(target, body, seconds, pacing) for body in target.bodies])
    latencies = np.concatenate([each.latencies for each in loads])
    whole = Load(
        seconds, *(sum(getattr(each, name) for each in loads) for name in _COUNTS), latencies=latencies
    )
    if whole.failed or not whole.succeeded:
        raise BenchError(f"{whole.failed} calls failed, {whole.succeeded} succeeded")
    in_flight = STREAMS * len(target.bodies)
    if rate is not None and whole.succeeded + in_flight < RATE_SHARE * rate * seconds:
        raise BenchError(f"{whole.rate:,.0f} calls/s were answered of {rate:,.0f} that were to be sent")
    return whole


_COUNTS = ("succeeded", "failed", "bytes")


async def press(target: Target, seconds: int, pressure: Pressure) -> None:
    """Send under pressure. What comes of it the server counts: h2load takes a call that ended too late for answered."""
    require_h2load()
    options = [
        f"-m{pressure.streams}",
        f"--rps={pressure.rate / len(target.bodies):.3f}",
        f"--header=grpc-timeout: {pressure.deadline_seconds * 1000:.0f}m",
    ]
    await asyncio.gather(*[_run(target, body, [f"-D{seconds}", *options]) for body in target.bodies])


async def _one(target: Target, body: Path, seconds: int, pacing: Sequence[str]) -> Load:
    log = body.with_suffix(".log")
    log.unlink(missing_ok=True)
    options = [f"-D{seconds}", f"--warm-up-time={WARM_UP_SECONDS}", f"-m{STREAMS}", f"--log-file={log}"]
    return _parse(await _run(target, body, [*options, *pacing]), seconds, log)


async def _run(target: Target, body: Path, options: Sequence[str]) -> str:
    """What h2load says, on one connection."""
    process = await asyncio.create_subprocess_exec(
        *("h2load", "-c1", "-t1", f"--data={body}", *options),
        *(f"--header={header}" for header in _HEADERS),
        f"http://{target.address}{target.path}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        return (await process.communicate())[0].decode()
    except BaseException:
        process.kill()
        raise


def _parse(output: str, seconds: int, log: Path) -> Load:
    requests, traffic = _REQUESTS.search(output), _TRAFFIC.search(output)
    if requests is None or traffic is None:
        raise BenchError(f"h2load said: {output[-500:]}")
    _, succeeded, failed = map(int, requests.groups())
    columns = np.loadtxt(log, dtype=np.int64, ndmin=2) if log.exists() else np.empty((0, 3), np.int64)
    failed += int((columns[:, 1] != 200).sum()) if len(columns) else 0
    return Load(seconds, succeeded, failed, int(traffic[1]), columns[:, 2] / 1e6)
