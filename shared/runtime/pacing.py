"""Holds a process to a share of the time.

Decision: by stopping it, again and again. Niceness says who goes first where two want one processor; it does not keep
a process that moves a hundred megabytes from the caches and the memory that others need beside it. While a model of
100,000 items was loaded at the lowest niceness, the 99th percentile of calls was twice to three times as high; held to
a quarter of the time it was 1.4 to 1.5 times as high.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Sequence

_TURN_SECONDS = 0.02
_PR_SET_PDEATHSIG = 1


def pace(share: float, descriptors: Sequence[int]) -> None:
    """Go on in a child, which is let run for `share`, in (0, 1], of the time; this process does nothing else from here
    on, and ends with it. Must be called while there is one thread. descriptors: what only the child is to keep.

    On systems other than Linux nothing would end a stopped child whose parent was killed: there it is not held at all.
    """
    if share >= 1 or sys.platform != "linux":
        return
    parent, (ready, told) = os.getpid(), os.pipe()
    if (child := os.fork()) == 0:
        _end_with(parent)
        os.close(ready)
        return os.close(told)
    for descriptor in (told, *descriptors):
        os.close(descriptor)
    # A child that is stopped before it would end with this process stays stopped for good when this one is killed.
    os.read(ready, 1)
    _hold(child, share)
    os._exit(0)


def _end_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it had ended before
        os._exit(0)


def _hold(child: int, share: float) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        time.sleep(share * _TURN_SECONDS)
        os.kill(child, signal.SIGSTOP)
        time.sleep((1 - share) * _TURN_SECONDS)
        os.kill(child, signal.SIGCONT)
