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


class Output:
    """Where a command prints: a table for people, or one JSON document for programs."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._stdout, self.progress_console = Console(), Console(stderr=True)

    def result(self, document: Mapping[str, Any], table: RenderableType, lines: Iterable[str] = ()) -> None:
        """Prints the result, once: the document, or the table with lines below it that are never broken."""
        if self._as_json:
            click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
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
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
        )
        return Progress(*columns, console=self.progress_console, transient=True)
