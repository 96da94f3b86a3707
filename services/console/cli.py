"""The commands of `freshet`, and what is said when one fails."""

import importlib
import os
import sys
from typing import NoReturn

import click

from services.console.failures import CommandFailed
from services.console.loading import loading
from services.console.unwritten import failing_when_unwritten

# Each command is a module, below this package, with a function of its name, "_" for "-"; it is loaded when it is used,
# because some need what only a developer's machine has.
COMMANDS = {
    "up": ("suite.up", "Start everything on this machine."),
    "status": ("suite.status", "Show how the services are."),
    "simulate": ("datasets.simulate", "Write a data set of a simulated shop."),
    "replay": ("datasets.replay", "Send a data set as events."),
    "train": ("models.train", "Train a model and show what was decided about it."),
    "models": ("models.models", "List models, promote them and roll them back."),
    "replay-check": ("log.replay_check", "Prove that the log gives the state that is served."),
    "skew": ("log.skew", "Compare the features that were served with those that the log gives."),
    "recommend": ("answers.recommend", "Show what is recommended to a user."),
    "rank": ("answers.rank", "Rank items for a user, with the probability of each behaviour."),
    "evaluate": ("judging.evaluate", "Judge recommendations against a data set."),
    "erase": ("erasing.erase", "Remove everything that is stored of a user."),
    "verify-erasure": ("erasing.verify_erasure", "Check that nothing is left of an erased user."),
    "items": ("log.items", "Change the catalogue."),
    "dead-letters": ("log.dead_letters", "List refused messages and send them again."),
}


class Commands(click.Group):
    """The commands, loaded one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Loads a command. Raises ModuleNotFoundError if a package is missing that it needs."""
        if name not in COMMANDS:
            return None
        module, _ = COMMANDS[name]
        with loading():
            loaded = importlib.import_module(f"services.console.{module}")
        command: click.Command = getattr(loaded, name.replace("-", "_"))
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Raises click.UsageError naming an argument that is not UTF-8, as everything is that goes to a service."""
        for number, argument in enumerate(args, start=1):
            if not _is_utf8(argument):
                shown = os.fsencode(argument).decode(errors="backslashreplace")
                raise click.UsageError(f"argument {number}, '{shown}', is not UTF-8")
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, told) for name, (_, told) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="freshet")
def cli() -> None:
    """Freshet: a recommender in which every click changes the very next answer.

    The services are found through FRESHET_INGESTION_ADDRESS, FRESHET_FEATURE_ADDRESS,
    FRESHET_RANKING_ADDRESS and FRESHET_TRAINER_ADDRESS (by default 127.0.0.1:50051 to 50054).

    Exit codes: 0 fine, 1 failed, 2 wrong usage, 130 interrupted.

    \b
    Example:
      freshet up &
      freshet replay data/ml-100k
      freshet train
      freshet recommend 42
    """


def run_typed() -> NoReturn:
    """Does what was typed and ends the process with its exit code. Raises KeyboardInterrupt when it was stopped."""
    try:
        with failing_when_unwritten():
            sys.exit(cli.main(prog_name="freshet", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort as error:
        raise KeyboardInterrupt from error
    except ModuleNotFoundError as error:  # at once, or where a command has loaded more while it ran
        package = str(error.name).partition(".")[0]
        failure = CommandFailed(f"this command needs the package {package}: pip install 'freshet[local]'")
        failure.show()
        sys.exit(failure.exit_code)


def _is_utf8(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:  # Python has kept bytes that it could not decode
        return False
    return True
