"""Files of rows, in the forms in which data sets are published: fields between tabs, commas or "::", or JSON lines."""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import orjson

Cells = Sequence[str | None]
"""Of one row, in the order of the names; None where the row has no such field."""


class TableError(Exception):
    """The file cannot be read; the message names it and says why."""


class Row(NamedTuple):
    """Where a row ends in its file, from 1, and what it says, or why it makes no sense."""

    line: int
    cells: Cells
    why_not: str = ""


class FileRows(NamedTuple):
    """Names of the columns, and the rows below."""

    names: Sequence[str]
    rows: Iterator[Row]


Form = Callable[[Iterator[str]], FileRows]
_HEADER, _NO_HEADER = "the header has", "there must be"


def read_rows(path: Path, form: Form, encoding: str = "utf-8-sig") -> FileRows:
    """The rows of a file, unpacked if its name ends in .gz. Raises TableError, also while rows are taken."""
    return form(_lines(path, encoding))


def tabs(lines: Iterator[str]) -> FileRows:
    """Fields between tabs, never quoted, below a header."""
    names = next(lines, "").rstrip("\r\n").split("\t")
    rows = (_checked(line, text.split("\t"), len(names), _HEADER) for line, text in _numbered(lines, 2))
    return FileRows(names, rows)


def headless(separator: str, *names: str) -> Form:
    """Fields between separators, never quoted, without a header; blank lines, as some files end with, are none."""

    def form(lines: Iterator[str]) -> FileRows:
        split = ((line, text.split(separator)) for line, text in _numbered(lines, 1) if text)
        return FileRows(names, (_checked(line, cells, len(names), _NO_HEADER) for line, cells in split))

    return form


def commas(lines: Iterator[str]) -> FileRows:
    """Fields between commas, with quotes where need be (RFC 4180), below a header."""
    reader = csv.reader(lines)
    names = next(reader, [])
    return FileRows(names, _of_reader(reader, len(names), _HEADER))


def mostly_headless_commas(*names: str) -> Form:
    """The same, mostly without a header: the first row is one if a name stands in it."""

    def form(lines: Iterator[str]) -> FileRows:
        first = next(lines, "")
        lines = chain([first], lines)
        if set(names) & set(first.rstrip("\r\n").split(",")):
            return commas(lines)
        return FileRows(names, _of_reader(csv.reader(lines), len(names), _NO_HEADER))

    return form


def json_lines(lines: Iterator[str]) -> FileRows:
    """One JSON object a line; the first one has the names."""
    first = next(lines, "")
    names = list(_object(first) or ())
    numbered = enumerate(chain([first], lines) if first else lines, start=1)
    return FileRows(names, (_of_object(line, names, number) for number, line in numbered))


def _numbered(lines: Iterator[str], first: int) -> Iterator[tuple[int, str]]:
    return ((number, line.rstrip("\r\n")) for number, line in enumerate(lines, start=first))


def _of_reader(reader: Any, width: int, by: str) -> Iterator[Row]:
    while True:
        try:
            cells = next(reader)
            yield _checked(reader.line_num, cells, width, by)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(reader.line_num, (), str(error))


def _checked(line: int, cells: Cells, width: int, by: str) -> Row:
    if len(cells) == width:
        return Row(line, cells)
    return Row(line, (), f"{max(len(cells), 1)} fields, {by} {width}")


def _of_object(line: str, names: Sequence[str], number: int) -> Row:
    fields = _object(line)
    if fields is None:
        return Row(number, (), "must be a JSON object")
    return Row(number, [None if fields.get(name) is None else str(fields[name]) for name in names])


def _object(line: str) -> dict[str, Any] | None:
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return fields if isinstance(fields, dict) else None


def _lines(path: Path, encoding: str) -> Iterator[str]:
    try:
        # A byte order mark, as spreadsheets write it, is no part of the first column's name ("utf-8-sig").
        with _opened(path) as file, io.TextIOWrapper(file, encoding, newline="\n") as text:
            yield from text
    except UnicodeDecodeError as error:
        raise TableError(
            f"{path} is not UTF-8 (byte {error.start} of a line or block): convert it"
        ) from error
    except (OSError, EOFError, zlib.error) as error:  # the last two: a packed file that is cut off or damaged
        raise TableError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _opened(path: Path) -> Any:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")
