"""A data set in files: items.tsv (item, title, genres), interactions.tsv (user, item, timestamp, rating).

Needed are interactions.tsv and the columns item, user and timestamp; what else is absent is not known of any item or
interaction. A column event_type may tell what each interaction is; without it all are of the type rate. Then rating is
the value of the event, a price for example, and may be empty. Ids are read as services spell them.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from shared.adapters.codecs.keys import spelt_alike
from shared.domain.events.event import EVENT_TYPE_BY_WORD

ITEMS_FILE, INTERACTIONS_FILE = "items.tsv", "interactions.tsv"
GENRE_SEPARATOR = "|"
LATEST_SECONDS = 253_402_300_799  # the end of the year 9999
LARGEST_VALUE = float(np.finfo(np.float32).max)  # values are learned from in 32 bits
RATE = "rate"
Fields = Sequence[str | None]
"""Of one line, in the order of the columns; None where the file has no such column."""
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

    @property
    def titles(self) -> dict[str, str]:
        """Titles by item."""
        return {item.item: item.title for item in self.items}


def read_dataset(directory: Path) -> Dataset:
    """Reads interactions, and items where they are told of. Raises DatasetError if a file cannot be read or lacks a
    column that is needed."""
    dataset = Dataset(name=directory.resolve().name)
    interactions, items = directory / INTERACTIONS_FILE, directory / ITEMS_FILE
    dataset.interactions = _read(interactions, INTERACTION_COLUMNS, _interaction, dataset.bad_lines)
    dataset.items = read_items(items, dataset.bad_lines) if items.exists() else []
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
    return _read(path, ITEM_COLUMNS, _item, bad_lines)


def _item(fields: Fields) -> DatasetItem:
    item, title, genres = (field or "" for field in fields)
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


def _number(name: str, text: str | None) -> float:
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a number, not {text!r}")
    return number


def _timestamp(text: str | None) -> float:
    seconds = _number("timestamp", text)
    if not 0 <= seconds <= LATEST_SECONDS:
        raise ValueError(f"timestamp must be seconds since 1970, not {text!r}")
    return seconds


def _read(path: Path, columns: Columns, parse: Callable[[Fields], T], bad_lines: list[BadLine]) -> list[T]:
    rows: list[T] = []
    lines = _lines(path)
    names = next(lines, "").split("\t")
    places = _places(path, names, columns)
    for number, line in enumerate(lines, start=2):
        fields = line.split("\t")
        try:
            if len(fields) != len(names):
                raise ValueError(f"{len(fields)} fields, the header has {len(names)}")
            rows.append(parse([None if place is None else fields[place] for place in places]))
        except ValueError as error:
            bad_lines.append(BadLine(path, number, str(error)))
    return rows


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for fields in (columns, *rows):
            if any(mark in field for field in fields for mark in "\t\r\n"):
                raise ValueError(f"{path}: a tab or the end of a line within {fields}")
            file.write("\t".join(fields) + "\n")


def _lines(path: Path) -> Iterator[str]:
    try:
        # A byte order mark, as spreadsheets write it, is no part of the first column's name.
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for line in file:
                yield line.rstrip("\r\n")
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path} is not UTF-8 (byte {error.start} of a line or block): convert it"
        ) from error


def _places(path: Path, names: Sequence[str], columns: Columns) -> list[int | None]:
    if missing := [column for column in columns.needed if column not in names]:
        needed, more = ", ".join(columns.needed), ", ".join(columns.optional)
        raise DatasetError(
            f"{path}:1: the header lacks {', '.join(missing)}; needed are {needed}, and there may be {more}; "
            "separated by tabs"
        )
    return [names.index(column) if column in names else None for column in columns.names]
