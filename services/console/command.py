"""The command `freshet`."""

import importlib
import sys

import click

from services.console.failures import INTERRUPTED, CommandFailed

# Each command is a module of this package with a function of that name, "_" for "-"; it is loaded when it is used,
# because some need what only a developer's machine has.
COMMANDS = {
    "up": "Start everything on this machine.",
    "status": "Show how the services are.",
    "simulate": "Write a data set of a simulated shop.",
    "replay": "Send a data set as events.",
    "train": "Train a model and show what was decided about it.",
    "models": "List models, promote them and roll them back.",
    "replay-check": "Prove that the log gives the state that is served.",
    "skew": "Compare the features that were served with those that the log gives.",
    "recommend": "Show what is recommended to a user.",
    "rank": "Rank items for a user, with the probability of each behaviour.",
    "evaluate": "Judge recommendations against a data set.",
    "erase": "Remove everything that is stored of a user.",
    "verify-erasure": "Check that nothing is left of an erased user.",
    "items": "Change the catalogue.",
    "dead-letters": "List refused messages and send them again.",
}


class Commands(click.Group):
    """The commands, loaded one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Loads a command. Raises CommandFailed if a package is missing that it needs."""
        if name not in COMMANDS:
            return None
        module = name.replace("-", "_")
        try:
            command: click.Command = getattr(importlib.import_module(f"services.console.{module}"), module)
        except ModuleNotFoundError as error:
            raise CommandFailed(
                f"`freshet {name}` needs the package {error.name}: pip install 'freshet[local]'"
            ) from error
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


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


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    try:
        sys.exit(cli.main(prog_name="freshet", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("freshet: stopped", err=True)
        sys.exit(INTERRUPTED)
