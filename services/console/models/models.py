"""`freshet models`: what was trained, what was decided about it, and deciding otherwise."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from freshet.trainer.v1.trainer_pb2 import (
    EVALUATION_PROTOCOL_LEAVE_ONE_OUT,
    EVALUATION_PROTOCOL_PREQUENTIAL,
    EVALUATION_PROTOCOL_TEMPORAL,
    GetModelResponse,
)
from services.console.failures import CommandFailed, run
from services.console.models.model_board import board_of, lines_of
from services.console.models.model_tables import (
    as_card,
    as_document,
    as_table,
    decisions,
    drift_document,
    drift_lines,
    reasons,
)
from services.console.output import Output, json_option
from services.console.standings import as_tables
from shared.client import (
    FailedPrecondition,
    FreshetClient,
    FreshetError,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)

R = TypeVar("R")
MOST_MODELS = 1_000
CARD, CURVES = "model_card.md", "curves.png"
PROTOCOLS = {
    "temporal": EVALUATION_PROTOCOL_TEMPORAL,
    "leave-one-out": EVALUATION_PROTOCOL_LEAVE_ONE_OUT,
    "prequential": EVALUATION_PROTOCOL_PREQUENTIAL,
}
_FIXES: dict[type[FreshetError], str] = {
    NotFound: "`freshet models` lists what there is",
    FailedPrecondition: "`freshet models` lists what can be promoted by name",
    ResourceExhausted: "try again in a moment",
}
reason_option = click.option("--reason", required=True, metavar="TEXT", help="Why, for the record.")


@click.group(short_help="List models, promote them and roll them back.", invoke_without_command=True)
@click.option(
    "--limit", type=click.IntRange(1, MOST_MODELS), default=20, show_default=True, help="How many at most."
)
@json_option
@click.pass_context
def models(context: click.Context, limit: int, as_json: bool) -> None:
    """Without a command: list models, the newest first, with what was decided about them and why.

    \b
    Example:
      freshet models --json
      freshet models show
      freshet models promote 0123456789abcdef --reason "the newer one was trained on a flood"
      freshet models rollback --reason "fewer clicks since this morning"
    """
    if context.invoked_subcommand is None:
        answer = _ask(lambda client: client.list_models(limit))
        found = list(answer.models)
        document = {"models": [as_document(model) for model in found], "drift": drift_document(answer)}
        lines = [*reasons(found), *drift_lines(answer)] if found else ["none; train with `freshet train`"]
        Output(as_json).result(document, as_table(found), lines)
    elif as_json:
        raise click.UsageError(f"--json belongs behind {context.invoked_subcommand}")
    elif context.get_parameter_source("limit") != ParameterSource.DEFAULT:
        raise click.UsageError(f"--limit is of the list, not of {context.invoked_subcommand}")


@models.command(short_help="Show one model with its card.")
@click.argument("version", default="")
@click.option(
    "--card",
    "directory",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Write the card and its picture, {CARD} and {CURVES}, into this directory.",
)
@json_option
def show(version: str, directory: Path | None, as_json: bool) -> None:
    """Show the metrics of a model, what was decided about it, and its card. Without VERSION: of the champion.

    \b
    Example:
      freshet models show 0123456789abcdef --card cards
    """
    answer = _ask(lambda client: client.get_model(version, include_card=True))
    if directory is not None:
        _write(answer, directory)
    document = {**as_document(answer.model), "model_card": answer.model_card}
    # Why a model was rolled back is told of the one that took its place.
    others = _ask(lambda client: client.list_models(MOST_MODELS)).models if answer.model.rolled_back else []
    Output(as_json).result(document, as_card(answer), decisions(answer.model, others))


@models.command(short_help="Make a model the champion.")
@click.argument("version")
@reason_option
@json_option
def promote(version: str, reason: str, as_json: bool) -> None:
    """Make the model VERSION the champion, whatever the gate said of it.

    \b
    Example:
      freshet models promote 0123456789abcdef --reason "the newer one was trained on a flood"
    """
    answer = _ask(lambda client: client.promote_model(version, reason))
    document = {"model": as_document(answer.model), "already_champion": answer.already_champion}
    told = "is the champion already" if answer.already_champion else "is the champion now"
    Output(as_json).result(document, as_table([answer.model]), [f"{version} {told}"])


@models.command(short_help="Return to the champion before.")
@click.argument("version", default="")
@reason_option
@json_option
def rollback(version: str, reason: str, as_json: bool) -> None:
    """Make the champion before the present one champion again. With VERSION: only if that is the champion now.

    \b
    Example:
      freshet models rollback --reason "fewer clicks since this morning"
    """
    answer = _ask(lambda client: client.rollback_model(reason, version))
    rolled_back = answer.rolled_back_model_version
    document = {"model": as_document(answer.model), "rolled_back_model_version": rolled_back}
    told = f"{rolled_back} was rolled back; {answer.model.model_version} is the champion"
    Output(as_json).result(document, as_table([answer.model]), [told])


@models.command(short_help="Judge a model on traffic later than its training.")
@click.argument("version", default="")
@click.option(
    "--protocol",
    type=click.Choice(list(PROTOCOLS)),
    default="temporal",
    show_default=True,
    help="Each user's next event; their last one; or every event in turn.",
)
@json_option
def evaluate(version: str, protocol: str, as_json: bool) -> None:
    """Judge a model beside the baselines on traffic of the log that is later than its training. Without VERSION: the
    champion.

    \b
    Example:
      freshet models evaluate --protocol prequential
    """
    answer = _ask(lambda client: client.evaluate_model(version, PROTOCOLS[protocol]))
    board: dict[str, Any] = board_of(answer, protocol)
    Output(as_json).result(board, as_tables(board), lines_of(board))


def _ask(call: Callable[[FreshetClient], Coroutine[Any, Any, R]]) -> R:
    """What the trainer answers. Raises CommandFailed."""
    return run(_asked(call))


async def _asked(call: Callable[[FreshetClient], Coroutine[Any, Any, R]]) -> R:
    async with FreshetClient() as client:
        try:
            return await call(client)
        except FreshetError as error:
            raise _with_fix(error) from error


def _with_fix(error: FreshetError) -> Exception:
    """The failure with what to do about it; others are explained where all are."""
    if isinstance(error, InvalidArgument):
        return CommandFailed(error.explain())
    fix = _FIXES.get(type(error))
    return CommandFailed(f"{error.explain()}; {fix}") if fix else error


def _write(answer: GetModelResponse, directory: Path) -> None:
    """Raises CommandFailed when there is no card, or nowhere to write it."""
    version = answer.model.model_version
    if not answer.model_card:
        raise CommandFailed(f"model {version} has no card: its bundle is gone or older than cards")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / CARD).write_text(answer.model_card)
        (directory / CURVES).write_bytes(answer.curves_png)
    except OSError as error:
        raise CommandFailed(f"--card {directory}: {error.strerror}") from error
