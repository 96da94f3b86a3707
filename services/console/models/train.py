"""`freshet train`: a training run from start to decision."""

from typing import TypedDict, Unpack

import click

from freshet.trainer.v1.trainer_pb2 import TRAINING_STATE_FAILED, TrainingRun
from services.console.failures import CommandFailed, run
from services.console.models.training import as_table, document, draw_to_end, summary
from services.console.number_options import Real
from services.console.output import Output, json_option
from shared.client import FreshetClient, ResourceExhausted

WAIT_SECONDS = 60.0


class Wish(TypedDict, total=False):
    """What is asked for; 0 and empty stand for the deployment's settings."""

    max_minutes: float
    encoder: str
    preset: str
    full: bool


@click.command(short_help="Train a model and show what was decided about it.")
@click.option(
    "--max-minutes",
    type=Real(min=0),
    default=0.0,
    help="The most time for the run; 0: the deployment's setting.",
)
@click.option(
    "--encoder", metavar="KIND", default="", help="What to train: transformer, hstu, gru, lstm, cnn or mf."
)
@click.option("--preset", metavar="SIZE", default="", help="Its size: small, base or large.")
@click.option(
    "--full", is_flag=True, help="Begin anew; else training goes on from the champion where it can."
)
@click.option("--follow", "run_id", metavar="RUN_ID", help="Follow a run that is going on; start none.")
@json_option
def train(run_id: str | None, as_json: bool, **wish: Unpack[Wish]) -> None:
    """Start a training run over everything in the log, follow it, and show the decision and the metrics.

    Ctrl-C stops the following, not the run.

    \b
    Example:
      freshet train --max-minutes 2
      freshet train --encoder hstu --preset base
    """
    output = Output(as_json)
    ended = run(_train(wish, run_id, output))
    output.result(document(ended), as_table(ended), [summary(ended)])
    if ended.state == TRAINING_STATE_FAILED:
        raise CommandFailed(f"training run {ended.run_id} failed: {ended.error}")


async def _train(wish: Wish, run_id: str | None, output: Output) -> TrainingRun:
    async with FreshetClient() as client:
        run_id = run_id or await start(client, **wish)
        output.note(f"training run {run_id}")
        return await draw_to_end(client, run_id, output, WAIT_SECONDS)


async def start(client: FreshetClient, **wish: Unpack[Wish]) -> str:
    """Starts a run and returns its id. Raises CommandFailed if one is going on."""
    try:
        return (await client.start_training(**wish)).run.run_id
    except ResourceExhausted as error:
        raise CommandFailed(
            f"no run was started: {error.explain()}; follow that one with `freshet train --follow RUN_ID`"
        ) from error
