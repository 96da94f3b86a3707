"""Checkpoints: where a lesson stands, so that one that was cut off goes on instead of beginning anew.

A lesson is one schedule of one run. Its file holds all that the rest of it is a function of, so what goes on gives
bit by bit what would have come without the break. It names what it belongs to: another run, other events, another
plan or other code make it a foreign one, which is ignored, as a damaged one is; the lesson then begins anew.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import numpy as np
import structlog
import torch

_log = structlog.get_logger("checkpoint")
_FORMAT = b"freshet-checkpoint-2\n"
_DIGEST_BYTES = 32
_MOST_SHARE = 0.05
"""Of the time for learning, the most that goes into writing checkpoints."""

State = dict[str, Any]
"""Tensors, numbers, texts, and lists and dicts of them."""


class Checkpoints:
    """Those of one run's lessons, which come in the same order every time."""

    def __init__(self, directory: Path, every_seconds: float, run: str) -> None:
        """directory: there, and only for this run, of which only one process writes: what another one has left that was
        killed while it wrote goes. run: what is told of the run and its code in one text."""
        for left in directory.glob("lesson-*.partial"):
            with suppress(OSError):
                left.unlink()
        self._directory, self._every_seconds, self._run = directory, every_seconds, run
        self._lessons = 0

    def next_lesson(self, key: str) -> Checkpoint:
        """That of the lesson that begins now. key: of all that the lesson is a function of."""
        self._lessons += 1
        file = self._directory / f"lesson-{self._lessons}.checkpoint"
        return Checkpoint(file, self._every_seconds, f"{self._run} {key}")


class Checkpoint:
    """One lesson's. It is due now and then, the more seldom the longer it takes to write."""

    def __init__(self, file: Path, every_seconds: float, key: str) -> None:
        self._file, self._every_seconds, self._key = file, every_seconds, key
        self._next = time.monotonic() + every_seconds

    @property
    def due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() >= self._next

    def save(self, state: State) -> None:
        """Puts it on disk in the place of the one before. A disk that is full costs the checkpoint, not the run."""
        started = time.monotonic()
        try:
            _write(self._file, {"of": self._key, "state": state})
        except OSError as error:
            _log.warning("checkpoint not written", file=str(self._file), reason=str(error))
        now = time.monotonic()
        self._next = now + max(self._every_seconds, (now - started) / _MOST_SHARE)

    def saved(self) -> State | None:
        """What was saved last; None when there is nothing that this lesson could go on from."""
        try:
            held = _read(self._file)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _log.warning("checkpoint ignored", file=str(self._file), reason=str(error))
            return None
        if held["of"] != self._key:
            _log.warning("checkpoint ignored", file=str(self._file), reason="it is of another job")
            return None
        return held["state"]


def key_of(texts: Iterable[str], arrays: Iterable[np.ndarray]) -> str:
    """Hexadecimal digest of texts and of arrays with their shapes and dtypes."""
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        digest.update(f"{len(text)}:{text}".encode())
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _write(file: Path, content: State) -> None:
    """Either the whole of it stands under the name afterwards, or what stood there before."""
    partial = file.with_suffix(f".{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            stream.write(_FORMAT + bytes(_DIGEST_BYTES))
            hashing = _Hashing(stream)
            torch.save(content, cast(IO[bytes], hashing))
            stream.seek(len(_FORMAT))
            stream.write(hashing.digest())
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    _sync_directory(file.parent)


def _read(file: Path) -> State:
    """Raises OSError, ValueError for what is no checkpoint or a damaged one."""
    content = file.read_bytes()
    if not content.startswith(_FORMAT):
        raise ValueError("it is no checkpoint of this format")
    start = len(_FORMAT) + _DIGEST_BYTES
    body = content[start:]
    if hashlib.sha256(body).digest() != content[len(_FORMAT) : start]:
        raise ValueError("it is damaged: its digest is another one")
    return torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Hashing(io.RawIOBase):
    """Writes on to a stream, and knows the SHA-256 of what it wrote."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._hash = stream, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self._hash.update(content)
        return self._stream.write(content)

    def digest(self) -> bytes:
        return self._hash.digest()
