"""What a command prints: its result on stdout, everything else on stderr."""

from collections.abc import Iterable, Mapping
from typing import Any

import click
import orjson
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on stdout; progress goes to stderr."
)


def titled(text: str) -> Text:
    """A title that shows `text` as it stands; rich would read a plain one as markup."""
    return Text(text, style="table.title")


class Output:
    """Where a command prints: a table for people, or one JSON document for programs."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        # Ids and names come from outside: "[red]" in one is no colour, nor ":x:" a picture.
        self._stdout = Console(markup=False, emoji=False)
        self.progress_console = Console(stderr=True, markup=False, emoji=False)

    def result(self, document: Mapping[str, Any], table: RenderableType, lines: Iterable[str] = ()) -> None:
        """Prints the result, once: the document, or the table with lines below it that are never broken."""
        if self._as_json:
            # As bytes: JSON is UTF-8, whatever the terminal shows.
            click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
            return
        self._stdout.print(table)
        for line in lines:
            self._stdout.print(Text(line), soft_wrap=True)

    def note(self, text: str) -> None:
        """Tells something by the way, on stderr."""
        self.progress_console.print(Text(text), soft_wrap=True)

    def progress(self, unit: str) -> Progress:
        """A progress bar on stderr that counts in `unit` and goes away when it is done."""
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TextColumn("{task.fields[detail]}", markup=False),
            TimeElapsedColumn(),
        )
        return Progress(*columns, console=self.progress_console, transient=True)
