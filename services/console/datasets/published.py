"""Which files of a directory hold a data set: those of Freshet's own format, or those that MovieLens and the Amazon
reviews are published in, as they are unpacked there."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from services.console.datasets.tables import (
    FileRows,
    Form,
    Row,
    TableError,
    commas,
    headless,
    json_lines,
    mostly_headless_commas,
    read_rows,
    tabs,
)

ITEMS_FILE, INTERACTIONS_FILE = "items.tsv", "interactions.tsv"
GENRE_SEPARATOR = "|"
_RATED = ("user", "item", "rating", "timestamp")
_FILM = ("item", "title", "genres")
# Flags of u.item in their order, behind the columns below, of which the last one flags that no genre is known.
_FLAGGED_GENRES = (
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
_ABOUT_FLAGGED = ("item", "title", "release", "video", "address", "unknown")
_DESCRIBING = "meta_"
"""How the names of files begin that tell of items, beside reviews of Amazon."""


class Kind(NamedTuple):
    """How a file is named, as a pattern, and in which form it is. old: it may be in Latin-1, which any bytes are."""

    pattern: str
    form: Form
    old: bool = False


class Layout(NamedTuple):
    """The files of a data set. in_order: interactions stand in the order in which they are to be told; published ones
    mostly stand user by user, and not by time."""

    interactions: Kind
    items: Kind | None = None
    in_order: bool = False


class Source(NamedTuple):
    """One file, and how to read it."""

    path: Path
    kind: Kind

    def rows(self) -> FileRows:
        """Its rows. Raises TableError, also while rows are taken."""
        latin = self.kind.old and not _is_utf8(self.path)
        return read_rows(self.path, self.kind.form, "latin-1" if latin else "utf-8-sig")


class Sources(NamedTuple):
    """What is read of a directory; `lacking` names the file of items that might be there and is not."""

    interactions: Source
    items: Source | None
    lacking: str
    in_order: bool


def _flagged(lines: Iterator[str]) -> FileRows:
    rows = headless("|", *_ABOUT_FLAGGED, *_FLAGGED_GENRES)(lines).rows
    return FileRows(_FILM, (_film(row) for row in rows))


def _film(row: Row) -> Row:
    item_and_title, flags = row.cells[:2], row.cells[len(_ABOUT_FLAGGED) :]
    genres = [genre for genre, flag in zip(_FLAGGED_GENRES, flags, strict=False) if flag == "1"]
    return row._replace(cells=[*item_and_title, GENRE_SEPARATOR.join(genres)])


OWN_ITEMS = Kind(ITEMS_FILE, tabs)
LAYOUTS = (
    Layout(Kind(INTERACTIONS_FILE, tabs), OWN_ITEMS, in_order=True),
    Layout(Kind("interactions.csv", commas), Kind("items.csv", commas), in_order=True),
    # MovieLens: 100k; 1M and 10M; 20M and later, and latest.
    Layout(Kind("u.data", headless("\t", *_RATED)), Kind("u.item", _flagged, old=True)),
    Layout(
        Kind("ratings.dat", headless("::", *_RATED)), Kind("movies.dat", headless("::", *_FILM), old=True)
    ),
    Layout(Kind("ratings.csv", commas), Kind("movies.csv", commas)),
    # Amazon: ratings only of 2014; reviews, 5-core, of 2014 and 2018; reviews of 2023; ratings only of 2023.
    Layout(Kind("ratings_*.csv", mostly_headless_commas(*_RATED))),
    Layout(Kind("*_5.json", json_lines)),
    Layout(Kind("*.jsonl", json_lines)),
    Layout(Kind("*.csv", commas)),
)


def sources(directory: Path) -> Sources:
    """The files to read, of the first layout whose interactions are there, packed by gzip or not. Raises TableError if
    none is there, or several of one layout."""
    for layout in LAYOUTS:
        if interactions := _found(directory, layout.interactions):
            items = layout.items and _found(directory, layout.items)
            lacking = layout.items.pattern if layout.items and not items else ""
            return Sources(interactions, items, lacking, layout.in_order)
    raise TableError(
        f"{directory} has no {INTERACTIONS_FILE} (columns user, item, timestamp, and rating or event_type if you like) "
        "nor interactions.csv; nor ratings as they are published: u.data, ratings.dat, ratings.csv (MovieLens), "
        "ratings_*.csv, *_5.json, *.jsonl, *.csv (Amazon), each also as .gz"
    )


def _found(directory: Path, kind: Kind) -> Source | None:
    files = sorted({*directory.glob(kind.pattern), *directory.glob(f"{kind.pattern}.gz")})
    files = [file for file in files if not file.name.startswith(_DESCRIBING)]
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise TableError(f"{directory} has several data sets, {names}: put one into a directory of its own")
    return Source(files[0], kind) if files else None


def _is_utf8(path: Path) -> bool:
    try:
        path.read_bytes().decode()
    except (UnicodeDecodeError, OSError):
        return False
    return True
