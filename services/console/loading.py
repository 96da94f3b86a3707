"""Ctrl-C while code is loaded."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from services.console.exit_codes import INTERRUPTED


@contextmanager
def loading() -> Iterator[None]:
    """For imports: Ctrl-C ends the process at once, there is nothing to clean up. As an exception it would be lost in
    places of Python's own, and some modules turn it into an ImportError."""
    default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not default or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _stop(*_: Any) -> None:
    os.write(2, b"freshet: stopped\n")
    os._exit(INTERRUPTED)
