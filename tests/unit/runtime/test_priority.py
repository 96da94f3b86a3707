"""A process that has stepped back leaves a busy processor to others, although they are of other sessions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_BUSY = """
import os, sys
from shared.runtime.priority import step_back
os.sched_setaffinity(0, {int(sys.argv[1])})
step_back(int(sys.argv[2]))
print("busy", flush=True)
while True:
    pass
"""
_ENOUGH_SECONDS = 0.5


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes are pinned as Linux does it")
def test_who_steps_back_gets_a_small_share_of_a_processor_that_others_want():
    processor = min(os.sched_getaffinity(0))
    with _busy(processor, niceness=19) as yielding, _busy(processor, niceness=0) as other:
        before = _cpu_seconds(yielding), _cpu_seconds(other)
        while _cpu_seconds(other) - before[1] < _ENOUGH_SECONDS:
            assert other.poll() is None, "the other one has ended"
        assert _cpu_seconds(yielding) - before[0] < 0.3 * (_cpu_seconds(other) - before[1])


@contextmanager
def _busy(processor: int, niceness: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own session that never rests."""
    command = [sys.executable, "-c", _BUSY, str(processor), str(niceness)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout and process.stdout.readline() == b"busy\n"
            yield process
        finally:
            process.kill()


def _cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
