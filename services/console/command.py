"""The command `freshet`."""

import sys

import click

from services.console.evaluate import evaluate
from services.console.failures import INTERRUPTED
from services.console.recommend import recommend
from services.console.replay import replay
from services.console.status import status
from services.console.train import train
from services.console.up import up


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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


for command in (up, status, replay, train, recommend, evaluate):
    cli.add_command(command)


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("freshet: stopped", err=True)
        sys.exit(INTERRUPTED)
