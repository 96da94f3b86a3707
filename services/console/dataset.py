"""Reading a data set: items.tsv (item, title, genres), interactions.tsv (user, item, timestamp, rating)."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

GENRE_SEPARATOR = "|"
LATEST_SECONDS = 253_402_300_799  # the end of the year 9999
T = TypeVar("T")


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
    """One rating; `timestamp` in seconds since 1970."""

    user: str
    item: str
    timestamp: float
    rating: float


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
    """Reads both files. Raises DatasetError if one is missing or lacks a column."""
    dataset = Dataset(name=directory.resolve().name)
    dataset.items = read_items(directory / "items.tsv", dataset.bad_lines)
    path = directory / "interactions.tsv"
    columns = ("user", "item", "timestamp", "rating")
    dataset.interactions = _read(path, columns, _interaction, dataset.bad_lines)
    return dataset


def read_items(path: Path, bad_lines: list[BadLine]) -> list[DatasetItem]:
    """Reads a catalogue. Raises DatasetError if the file is missing or lacks a column."""
    return _read(path, ("item", "title", "genres"), _item, bad_lines)


def _item(fields: Sequence[str]) -> DatasetItem:
    item, title, genres = fields
    return DatasetItem(_required("item", item), title, tuple(filter(None, genres.split(GENRE_SEPARATOR))))


def _interaction(fields: Sequence[str]) -> Interaction:
    user, item, timestamp, rating = fields
    return Interaction(
        _required("user", user),
        _required("item", item),
        _timestamp(timestamp),
        _number("rating", rating),
    )


def _required(name: str, text: str) -> str:
    if not text:
        raise ValueError(f"{name} is empty")
    return text


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a number, not {text!r}")
    return number


def _timestamp(text: str) -> float:
    seconds = _number("timestamp", text)
    if not 0 <= seconds <= LATEST_SECONDS:
        raise ValueError(f"timestamp must be seconds since 1970, not {text!r}")
    return seconds


def _read(
    path: Path, columns: Sequence[str], parse: Callable[[Sequence[str]], T], bad_lines: list[BadLine]
) -> list[T]:
    rows: list[T] = []
    lines = _lines(path)
    places, width = _places(path, next(lines, ""), columns)
    for number, line in enumerate(lines, start=2):
        fields = line.split("\t")
        try:
            if len(fields) != width:
                raise ValueError(f"{len(fields)} fields, the header has {width}")
            rows.append(parse([fields[place] for place in places]))
        except ValueError as error:
            bad_lines.append(BadLine(path, number, str(error)))
    return rows


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.rstrip("\r\n")
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path} is not UTF-8 (byte {error.start} of a line or block): convert it"
        ) from error


def _places(path: Path, header: str, columns: Sequence[str]) -> tuple[list[int], int]:
    names = header.split("\t")
    missing = [column for column in columns if column not in names]
    if missing:
        needed = ", ".join(columns)
        raise DatasetError(
            f"{path}:1: the header lacks {', '.join(missing)}; needed are {needed}, separated by tabs"
        )
    return [names.index(column) for column in columns], len(names)
