"""How much of a busy machine a process takes.

Decision: a process that steps back does so as a session, too. Where Linux shares processors out by session (autogroup,
the default of most distributions outside containers), niceness counts among the processes of one session only, and
`child_process` gives each child its own: nice or not, it took half a processor from the requests it was to leave in
peace.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_AUTOGROUP = Path("/proc/self/autogroup")


def step_back(niceness: int) -> None:
    """Give way to all other processes of the machine, for good. niceness: in [0, 19], added to what there is."""
    nice = os.nice(niceness)
    if os.getsid(0) == os.getpid():  # else it would speak for processes that are not its own
        with suppress(OSError):  # no Linux, or one that does not share out by session
            _AUTOGROUP.write_text(str(nice))
