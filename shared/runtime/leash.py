"""The other end of `child_process` or a `ForkServer`: a process that does one job and outlives nobody who wants it."""

from __future__ import annotations

import os
import socket
import sys
import threading
from typing import BinaryIO

_LEASH_ENDED = 3


class Leash:
    """Made by the process itself, of a socket's descriptor: by default the number in its first argument. job: one line.
    When the other end is gone, this process ends at once."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._channel = socket.socket(fileno=int(sys.argv[1]) if descriptor is None else descriptor)
        incoming = self._channel.makefile("rb")
        self.job = incoming.readline()
        threading.Thread(target=_end_with, args=(incoming,), daemon=True).start()

    def tell(self, line: bytes) -> None:
        """Report something."""
        self._channel.sendall(line)


def _end_with(incoming: BinaryIO) -> None:
    incoming.read()
    os._exit(_LEASH_ENDED)
