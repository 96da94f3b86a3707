"""Where `freshet` begins. It imports next to nothing, so that Ctrl-C is heard from the first moment on."""

import sys

INTERRUPTED = 130


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    try:
        from services.console.loading import loading

        with loading():
            from services.console.cli import run_typed
        run_typed()
    except KeyboardInterrupt:
        print("freshet: stopped", file=sys.stderr)
        sys.exit(INTERRUPTED)
