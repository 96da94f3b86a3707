"""From one process to another without a copy: a value with its arrays in memory that both see.

The arrays lie in a file without a name, in RAM where the system offers that (Linux), and the one that takes over maps
them: they are pages of its own as soon as it looks at them, which it does at once. Pickled (protocol 5, whose buffers
travel beside the rest) between processes of one service: never read what others wrote.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import pickle
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Any, BinaryIO, NamedTuple

import numpy as np

_ALIGNMENT = 64
_STEP_BYTES, _STEP_SECONDS = 1 << 20, 0.01


class Handed(NamedTuple):
    """What came over, and the memory that its arrays lie in."""

    value: Any
    memory: mmap.mmap


def shared_file() -> BinaryIO:
    """An empty file that is gone with the last process that has it."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("freshet"), "w+b")
    return tempfile.TemporaryFile()


def write(file: BinaryIO, value: Any) -> list[int]:
    """Puts a value into an empty file; returns the sizes of its parts, which `read` needs."""
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(body), *(buffer.raw() for buffer in buffers)]
    sizes = [len(part) for part in parts]
    for start, part in zip(_starts(sizes), parts, strict=False):
        file.seek(start)
        file.write(part)
    file.truncate(_starts(sizes)[-1])
    return sizes


def read(file: BinaryIO, sizes: Sequence[int]) -> Handed:
    """What `write` put there. Its arrays are the file's memory, writable, and keep it for as long as they live."""
    starts = _starts(sizes)
    mapping = mmap.mmap(file.fileno(), starts[-1])
    memory = memoryview(mapping)
    # Every page is looked at now, or the first requests would fetch them one by one.
    np.frombuffer(memory, np.uint8)[:: mmap.PAGESIZE].max(initial=0)
    parts = [memory[start : start + size] for start, size in zip(starts, sizes, strict=False)]
    return Handed(pickle.loads(parts[0], buffers=parts[1:]), mapping)


async def give_back(memory: mmap.mmap) -> None:
    """Give memory that is no longer needed back to the system, bit by bit: all threads wait while their process gives
    back a hundred megabytes at once. While somebody still has arrays that lie in it, it is left to the last of them."""
    with suppress(BufferError, SystemError):  # the second where the system cannot make it smaller
        for size in range(len(memory) - _STEP_BYTES, 0, -_STEP_BYTES):
            memory.resize(size)
            await asyncio.sleep(_STEP_SECONDS)
        memory.close()


def _starts(sizes: Sequence[int]) -> list[int]:
    """Where each part begins, and last where all end."""
    return list(accumulate((-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes), initial=0))
