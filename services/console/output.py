"""What a command prints: its result on stdout, everything else on stderr."""

from collections.abc import Iterable, Mapping
from typing import Any

import click
import orjson
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from services.console.progress_lines import ProgressLines

_ANY_WIDTH = 10_000
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on stdout; progress goes to stderr."
)


def titled(text: str) -> Text:
    """A title that shows `text` as it stands; rich would read a plain one as markup."""
    return Text(text, style="table.title")


class Unbroken:
    """A table that is wider than the terminal rather than cut within a word, or within a line of a column that is not
    to be wrapped: a figure that lacks its end is none, and an id is to be copied."""

    def __init__(self, table: Table) -> None:
        self._table = table
        for column in table.columns:
            parts = str.splitlines if column.no_wrap else str.split
            cells = (str(cell) for cell in (column.header, *column.cells))
            column.min_width = max((cell_len(part) for cell in cells for part in parts(cell)), default=0)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        least = Measurement.get(console, options.update(width=_ANY_WIDTH), self._table).minimum
        yield from console.render(self._table, options.update(width=max(options.max_width, least)))


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
        self._stdout.print(table, crop=False)
        for line in lines:
            self._stdout.print(Text(line), soft_wrap=True)

    def note(self, text: str) -> None:
        """Tells something by the way, on stderr."""
        self.progress_console.print(Text(text), soft_wrap=True)

    def progress(self, unit: str) -> Progress:
        """A progress bar on stderr that counts in `unit` and goes away when it is done; a line now and then where that
        is no terminal."""
        if not self.progress_console.is_terminal:
            return ProgressLines(unit, self.progress_console)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TextColumn("{task.fields[detail]}", markup=False),
            TimeElapsedColumn(),
        )
        return Progress(*columns, console=self.progress_console, transient=True)
