"""A data set in files: items.tsv (item, title, genres), interactions.tsv (user, item, timestamp, rating).

Needed are interactions.tsv and the columns item, user and timestamp; what else is absent is not known of any item or
interaction. A column event_type may tell what each interaction is; without it all are of the type rate. Then rating is
the value of the event, a price for example, and may be empty. Ids are read as services spell them. Instead there may
be files as MovieLens and the Amazon reviews are published in.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from services.console.datasets.published import (
    GENRE_SEPARATOR,
    INTERACTIONS_FILE,
    ITEMS_FILE,
    OWN_ITEMS,
    Source,
    sources,
)
from services.console.datasets.tables import Cells, TableError
from shared.adapters.codecs.keys import spelt_alike
from shared.domain.events.event import EVENT_TYPE_BY_WORD

LATEST_SECONDS = 253_402_300_799  # the end of the year 9999, or in milliseconds January 1978
TIME_UNIT = "seconds or milliseconds since 1970"
LARGEST_VALUE = float(np.finfo(np.float32).max)  # values are learned from in 32 bits
RATE = "rate"
NO_GENRES = "(no genres listed)"
PUBLISHED_NAMES = {
    "user": ("user_id", "userId", "reviewerID"),
    "item": ("item_id", "itemId", "movieId", "parent_asin", "asin"),
    "timestamp": ("unixReviewTime",),
    "rating": ("overall",),
}
"""How columns are called elsewhere."""
Fields = Cells
"""Of one row, in the order of the columns; None where the file has no such column."""
T = TypeVar("T")


class Columns(NamedTuple):
    """Names of columns that a file must and may have."""

    needed: tuple[str, ...]
    optional: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return self.needed + self.optional


ITEM_COLUMNS = Columns(("item",), ("title", "genres"))
INTERACTION_COLUMNS = Columns(("user", "item", "timestamp"), ("rating", "event_type"))


class DatasetError(Exception):
    """The directory or a header is not as it must be; the message says what is and what should be."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that makes no sense, and why."""

    path: Path
    line: int
    why: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.why}"


@dataclass(frozen=True, slots=True)
class DatasetItem:
    """One item of the catalogue."""

    item: str
    title: str
    genres: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Interaction:
    """What a user did with an item, mostly a rating; `timestamp` in seconds since 1970. `rating`: the value of the
    event, nan for none."""

    user: str
    item: str
    timestamp: float
    rating: float
    event_type: str = RATE


@dataclass(slots=True)
class Dataset:
    """What was read, and the lines that could not be."""

    name: str
    items: list[DatasetItem] = field(default_factory=list)
    interactions: list[Interaction] = field(default_factory=list)
    bad_lines: list[BadLine] = field(default_factory=list)
    files: tuple[Path, ...] = ()
    lacking: str = ""
    """The name of the file of items that might be there and is not."""

    @property
    def titles(self) -> dict[str, str]:
        """Titles by item."""
        return {item.item: item.title for item in self.items}


def read_dataset(directory: Path) -> Dataset:
    """Reads interactions, in file order or, of published data sets, by time, and items where they are told of.

    Raises DatasetError if there are none, if a file cannot be read or lacks a column that is needed.
    """
    try:
        found = sources(directory)
    except TableError as error:
        raise DatasetError(str(error)) from error
    read = [found.interactions, *filter(None, [found.items])]
    dataset = Dataset(
        directory.resolve().name, files=tuple(each.path for each in read), lacking=found.lacking
    )
    dataset.interactions = _read(found.interactions, INTERACTION_COLUMNS, _interaction, dataset.bad_lines)
    if not found.in_order:
        dataset.interactions.sort(key=lambda row: row.timestamp)
    dataset.items = _read(found.items, ITEM_COLUMNS, _item, dataset.bad_lines) if found.items else []
    return dataset


def write_dataset(dataset: Dataset, directory: Path) -> None:
    """Writes both files as `read_dataset` reads them, in order. Raises OSError; ValueError for a tab or a line's end
    in a text."""
    directory.mkdir(parents=True, exist_ok=True)
    items = ((row.item, row.title, GENRE_SEPARATOR.join(row.genres)) for row in dataset.items)
    _write(directory / ITEMS_FILE, ITEM_COLUMNS.names, items)
    interactions = (
        (row.user, row.item, repr(row.timestamp), _number_text(row.rating), row.event_type)
        for row in dataset.interactions
    )
    _write(directory / INTERACTIONS_FILE, INTERACTION_COLUMNS.names, interactions)


def read_items(path: Path, bad_lines: list[BadLine]) -> list[DatasetItem]:
    """Reads a catalogue. Raises DatasetError if the file is missing or lacks the column item."""
    return _read(Source(path, OWN_ITEMS), ITEM_COLUMNS, _item, bad_lines)


def _item(fields: Fields) -> DatasetItem:
    item, title, genres = (field or "" for field in fields)
    genres = "" if genres == NO_GENRES else genres
    return DatasetItem(_required("item", item), title, tuple(filter(None, genres.split(GENRE_SEPARATOR))))


def _interaction(fields: Fields) -> Interaction:
    user, item, timestamp, rating, event_type = fields
    return Interaction(
        _required("user", user),
        _required("item", item),
        _timestamp(timestamp),
        _value(rating, event_type or RATE),
        _event_type(event_type or RATE),
    )


def _event_type(text: str) -> str:
    if text not in EVENT_TYPE_BY_WORD:
        raise ValueError(f"event_type must be one of the vocabulary, such as {RATE} or click, not {text!r}")
    return text


def _value(text: str | None, event_type: str) -> float:
    absent = text is None or (not text and event_type != RATE)
    value = math.nan if absent else _number("rating", text)
    if abs(value) > LARGEST_VALUE:
        raise ValueError(f"rating must be a number that 32 bits hold (float32), not {text!r}")
    return value


def _number_text(number: float) -> str:
    return "" if math.isnan(number) else repr(number)


def _required(name: str, text: str | None) -> str:
    if not text:
        raise ValueError(f"{name} is empty")
    return spelt_alike(text)


def _number(name: str, text: str | None, unit: str = "") -> float:
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a number, not {text!r}{unit and f': {unit}'}")
    return number


def _timestamp(text: str | None) -> float:
    time = _number("timestamp", text, TIME_UNIT)
    seconds = time if time <= LATEST_SECONDS else time / 1_000
    if not 0 <= seconds <= LATEST_SECONDS:
        raise ValueError(f"timestamp must be {TIME_UNIT}, not {text!r}")
    return seconds


def _read(
    source: Source, columns: Columns, parse: Callable[[Fields], T], bad_lines: list[BadLine]
) -> list[T]:
    rows: list[T] = []
    try:
        names, table = source.rows()
        places = _places(source.path, names, columns)
        for line, cells, why_not in table:
            try:
                if why_not:
                    raise ValueError(why_not)
                rows.append(parse([None if place is None else cells[place] for place in places]))
            except ValueError as error:
                bad_lines.append(BadLine(source.path, line, str(error)))
    except TableError as error:
        raise DatasetError(str(error)) from error
    return rows


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for fields in (columns, *rows):
            if any(mark in field for field in fields for mark in "\t\r\n"):
                raise ValueError(f"{path}: a tab or the end of a line within {fields}")
            file.write("\t".join(fields) + "\n")


def _places(path: Path, names: Sequence[str], columns: Columns) -> list[int | None]:
    places = [_place(names, column) for column in columns.names]
    if missing := [column for column in columns.needed if places[columns.names.index(column)] is None]:
        needed, more = ", ".join(columns.needed), ", ".join(columns.optional)
        raise DatasetError(
            f"{path}:1: the header lacks {', '.join(missing)}; needed are {needed}, and there may be {more}; "
            f"{_separated(path)}. A file without a header needs one, in the order of its columns"
        )
    return places


def _place(names: Sequence[str], column: str) -> int | None:
    spellings = (column, *PUBLISHED_NAMES.get(column, ()))
    return next((names.index(spelling) for spelling in spellings if spelling in names), None)


def _separated(path: Path) -> str:
    return "separated by commas" if ".csv" in path.suffixes else "separated by tabs (in .csv by commas)"
