"""A scoreboard for people."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from services.console.output import Unbroken, titled

Document = Mapping[str, Any]
GAINS = ("live history", "learning on")
_SMALL = 0.01


def as_tables(board: Document) -> RenderableType:
    """How everybody did, where they differ, and what live histories and learning on are worth."""
    tables = [_standings(board), _segments(board)]
    if any(gain["of"] in GAINS for gain in board["gains"]):
        tables.append(_gains(board))
    return Group(*map(Unbroken, tables))


def as_lines(board: Document) -> list[str]:
    """What the figures stand on, and who beats the baselines."""
    return [
        f"{board['questions']:,} questions to {board['users']:,} users, {board['catalogue_items']:,} items, "
        f"{board['learned_events']:,} events learned before",
        f"time for learning: {_learning(board)}",
        *(f"{name}: {meaning}" for name, meaning in board["segment_meanings"].items()),
        *board["verdicts"],
    ]


def _learning(board: Document) -> str:
    seconds = {each["name"]: each["learning_seconds"] for each in board["standings"]}
    return ", ".join(f"{name} {spent:,.1f} s" for name, spent in seconds.items())


def _standings(board: Document) -> Table:
    metrics = ("ndcg", "hit_rate", "mrr", "coverage")
    heads = (f"{name}@{board['k']}" for name in ("NDCG", "HR", "MRR", "coverage"))
    table = _table(_title(board), "", "", *heads)
    for each, name in zip(board["standings"], _names(board), strict=True):
        table.add_row(*name, *(_interval(each["overall"][metric]) for metric in metrics))
    return table


def _segments(board: Document) -> Table:
    names = list(board["segment_meanings"])
    first = board["standings"][0]["segments"]
    heads = (f"{name}\n{first[name]['questions']:,} asked" for name in names)
    table = _table(f"NDCG@{board['k']} by segment", "", "", *heads)
    for each, name in zip(board["standings"], _names(board), strict=True):
        found = (each["segments"][segment] for segment in names)
        table.add_row(*name, *(_interval(of["ndcg"]) if of["questions"] else "-" for of in found))
    return table


def _gains(board: Document) -> Table:
    kinds = [kind for kind in GAINS if any(gain["of"] == kind for gain in board["gains"])]
    table = _table(f"gain in NDCG@{board['k']}", "", *kinds)
    for name in dict.fromkeys(gain["name"] for gain in board["gains"]):
        found = {gain["of"]: gain["difference"] for gain in board["gains"] if gain["name"] == name}
        table.add_row(Text(name), *(_interval(found[kind], "+") if kind in found else "" for kind in kinds))
    return table


def _table(title: str, *heads: str) -> Table:
    """A table of cells that are never broken: the figure above its interval."""
    table = Table(
        title=titled(title), box=SIMPLE_HEAD, title_justify="left", pad_edge=False, collapse_padding=True
    )
    for head in heads:
        table.add_column(Text(head), no_wrap=True)
    return table


def _title(board: Document) -> str:
    title = f"{board['protocol']}, {board['confidence']:.0%} intervals, * the best"
    return f"{board['dataset']}, {title}" if "dataset" in board else title


def _names(board: Document) -> Iterator[tuple[Text, Text]]:
    """Name and mode of each row; a name stands at its first row only, a star at the best one."""
    before = ""
    for each in board["standings"]:
        name = "" if each["name"] == before else each["name"]
        mark = "*" if each["best"] else ""
        style = "bold" if each["best"] else ""
        yield Text(name), Text(f"{each['mode']} {mark}".strip(), style=style)
        before = each["name"]


def _interval(estimate: Document, sign: str = "") -> str:
    places = places_of_interval(estimate["low"], estimate["high"])
    low, high = (f"{estimate[end]:{sign}.{places}f}".replace("0.", ".", 1) for end in ("low", "high"))
    return f"{estimate['value']:{sign}.4f}\n{low}{' to ' if sign else '-'}{high}"


def places_of_interval(low: float, high: float) -> int:
    """Decimals of its ends: three leave room for a table, but a small figure may lie outside of what they say."""
    return 3 if max(abs(low), abs(high)) >= _SMALL else 4
