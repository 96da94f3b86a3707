"""Where `freshet` begins. It imports next to nothing, so that Ctrl-C is heard from the first moment on."""

import io
import signal
import sys

from services.console.exit_codes import INTERRUPTED


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    _show_what_can_be_shown()
    try:
        from services.console.loading import loading

        with loading():
            from services.console.cli import run_typed
        run_typed()
    except KeyboardInterrupt:
        # It is ending already: another Ctrl-C would only make Python complain on its way out.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("freshet: stopped", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _show_what_can_be_shown() -> None:
    """Characters that the terminal does not know become "?"."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
