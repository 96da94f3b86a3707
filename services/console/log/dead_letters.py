"""`freshet dead-letters`: refused messages, and sending them again."""

from pathlib import Path
from typing import Any

import click
from google.protobuf.json_format import MessageToDict, Parse, ParseError
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1.ingestion_pb2 import DeadLetter, DeadLetterRedrive, WriteOutcome
from services.console.failures import CommandFailed, run
from services.console.outcomes import as_document, as_table, fail_if_not_written, word
from services.console.output import Output, json_option
from shared.client import FreshetClient

MAX_AT_ONCE = 500
SHOWN_CHARACTERS = 60


@click.group(name="dead-letters", short_help="List refused messages and send them again.")
def dead_letters() -> None:
    """Look at messages that were refused at the NATS door, and send them again once the reason is gone.

    \b
    Example:
      freshet dead-letters list --reason UNKNOWN_EVENT_TYPE --json
      freshet dead-letters redrive 17 18
    """


@dead_letters.command(name="list", short_help="List refused messages, the newest first.")
@click.option("--reason", default="", help="Only those refused for this reason, such as UNKNOWN_EVENT_TYPE.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many at most."
)
@click.option("--redriven", "include_redriven", is_flag=True, help="Also those sent again with success.")
@json_option
def list_(reason: str, limit: int, include_redriven: bool, as_json: bool) -> None:
    """List refused messages with what was wrong with them and what became of them since, the newest first.

    \b
    Example:
      freshet dead-letters list --reason UNKNOWN_EVENT_TYPE --limit 5
    """
    letters = run(_list(reason, limit, include_redriven))
    document = {"dead_letters": [_document(letter) for letter in letters]}
    caption = "none" if not letters else f"{len(letters):,}, the newest first"
    Output(as_json).result(document, _letters_table(letters), [caption])


@dead_letters.command(short_help="Send refused messages again.")
@click.argument("dead_letter_ids", metavar="ID...", nargs=-1, required=True)
@click.option(
    "--corrected",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.json",
    help="The corrected event, as JSON, to send instead; for one ID.",
)
@json_option
def redrive(dead_letter_ids: tuple[str, ...], corrected: Path | None, as_json: bool) -> None:
    """Send the dead letters ID... again, as they came or corrected. Each takes effect once, however often it is sent.

    Ends with 1 if one of them is refused again.

    \b
    Example:
      freshet dead-letters redrive 17 --corrected event.json
    """
    if corrected is not None and len(dead_letter_ids) > 1:
        raise click.UsageError("--corrected is one event, for one ID")
    event = _corrected_event(corrected) if corrected is not None else None
    outcomes = run(_redrive(dead_letter_ids, event, Output(as_json)))
    document = {
        "redrives": [
            {"dead_letter_id": letter_id, **as_document(outcome)}
            for letter_id, outcome in zip(dead_letter_ids, outcomes, strict=True)
        ]
    }
    Output(as_json).result(document, as_table("dead letter", dead_letter_ids, outcomes))
    fail_if_not_written("dead letters", outcomes)


async def _list(reason: str, limit: int, include_redriven: bool) -> list[DeadLetter]:
    letters: list[DeadLetter] = []
    token = ""
    async with FreshetClient() as client:
        while len(letters) < limit:
            size = min(limit - len(letters), MAX_AT_ONCE)
            page = await client.list_dead_letters(size, token, reason, include_redriven)
            letters += page.dead_letters
            token = page.next_page_token
            if not token:
                break
    return letters


async def _redrive(
    letter_ids: tuple[str, ...], event: UserEvent | None, output: Output
) -> list[WriteOutcome]:
    outcomes: list[WriteOutcome] = []
    async with FreshetClient() as client:
        with output.progress("dead letters") as progress:
            task = progress.add_task("sending again", total=len(letter_ids), detail="")
            for start in range(0, len(letter_ids), MAX_AT_ONCE):
                part = letter_ids[start : start + MAX_AT_ONCE]
                wishes = [DeadLetterRedrive(dead_letter_id=each, corrected_event=event) for each in part]
                outcomes += (await client.redrive_dead_letters(wishes)).outcomes
                progress.advance(task, len(part))
    return outcomes


def _corrected_event(path: Path) -> UserEvent:
    try:
        return Parse(path.read_bytes(), UserEvent())
    except (ParseError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{path} holds no event in JSON: {error}") from error


def _document(letter: DeadLetter) -> dict[str, Any]:
    document: dict[str, Any] = MessageToDict(letter, preserving_proto_field_name=True)
    return {"truncated": False, "redrives": [], **document, "text": _text(letter, 1 << 16)}


def _text(letter: DeadLetter, most: int) -> str:
    """The message for people: its text, with what cannot be shown escaped."""
    text = letter.payload.decode("utf-8", errors="backslashreplace")
    text = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _letters_table(letters: list[DeadLetter]) -> RenderableType:
    table = Table(title="Dead letters")
    for name in ("id", "refused", "what is wrong", "message", "sent again"):
        table.add_column(name, overflow="fold")
    for letter in letters:
        wrong = "\n".join(f"{each.field}: {each.reason}" for each in letter.violations)
        again = ", ".join(word(each) for each in letter.redrives)
        moment = letter.refuse_time.ToDatetime().isoformat(" ", "seconds")
        message = Text(_text(letter, SHOWN_CHARACTERS))
        table.add_row(Text(letter.dead_letter_id), moment, Text(wrong), message, again)
    return table
