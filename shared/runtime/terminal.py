"""The terminal that a process was started from, and its end."""

from __future__ import annotations

import signal


def hang_up() -> tuple[signal.Signals, ...]:
    """The signal that tells of the terminal's end; none where it is to be ignored, as behind `nohup`."""
    return () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
