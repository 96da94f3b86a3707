"""Failures in one line that names the fix."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

import click

from shared.client import Cancelled, DeadlineExceeded, FreshetError, Unavailable, Unimplemented
from shared.client.addresses import address_variable
from shared.runtime.terminal import hang_up

T = TypeVar("T")


class CommandFailed(click.ClickException):
    """The command did not do its work; exit code 1."""

    def show(self, file: Any = None) -> None:
        """Prints the message on stderr, in one line: what a message quotes may have several."""
        text = " ".join(line.strip() for line in self.format_message().splitlines())
        click.secho(f"freshet: {text}", fg="red", err=True)


def advice(error: FreshetError) -> str:
    """The failure and what to do about it, in one line."""
    origin = error.origin
    match error:
        case Unavailable(unreachable=True):
            variable = address_variable(origin.service)
            return (
                f"nobody answers at {origin.address} ({origin.service}): start it with `make run` or "
                f"`freshet up`, or set {variable}"
            )
        case Unavailable():
            return f"{origin.service} cannot serve now: {error.explain()}; try again, or see `freshet status`"
        case DeadlineExceeded():
            return f"{error.explain()}; see `freshet status`"
        case Unimplemented():
            return error.explain()
        case Cancelled():
            return f"{origin.method} was cancelled"
    return f"{origin.method}: {error.explain()}"


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs the work of a command. Raises CommandFailed for what it knows how to explain.

    SIGTERM and the end of the terminal end it in as good order as Ctrl-C does; raises click.Abort then.
    """
    try:
        return asyncio.run(_until_terminated(work))
    except FreshetError as error:
        raise CommandFailed(advice(error)) from error
    except asyncio.CancelledError as error:
        raise click.Abort from error


async def _until_terminated(work: Coroutine[Any, Any, T]) -> T:
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, *hang_up()):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task
