"""`python -m tests.chaos [--kills 50] [--seed N] [--minutes M] [--json]`; ends with 1 if anything does not hold."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from random import SystemRandom

from rich.console import Console

from shared.runtime.logs import configure_logs
from tests.chaos.run import Run, run_chaos


def main() -> int:
    """Run, print, and keep the evidence of what does not hold."""
    options = _options()
    directory = Path(tempfile.mkdtemp(prefix="freshet-chaos-"))
    configure_logs("chaos", "error")
    run = Run(options.seed, options.kills)
    console = Console(stderr=True, highlight=False)
    console.print(
        f"chaos: seed {run.seed}, at least {run.asked_kills} kills in {options.minutes:g} minutes, in {directory}"
    )
    with console.status("starting") as status:
        tell = (
            status.update if console.is_terminal else (lambda text: print(f"chaos: {text}", file=sys.stderr))
        )
        asyncio.run(run_chaos(run, options.minutes, directory, tell))
    _show(run, options.json)
    if run.holds:
        shutil.rmtree(directory)
        return 0
    (directory / "evidence.json").write_text(json.dumps(_document(run), indent=1, default=str))
    print(f"chaos: evidence, logs and data are kept in {directory}", file=sys.stderr)
    return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description="Kills everything, proves the rest."
    )
    parser.add_argument("--kills", type=int, default=50, help="kills at least (default 50)")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1_000_000), help="repeats a run")
    parser.add_argument("--minutes", type=float, default=8.0, help="faults end after so long (default 8)")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    return parser.parse_args()


def _show(run: Run, as_json: bool) -> None:
    if as_json:
        return print(json.dumps(_document(run), indent=1, default=str))
    for check in run.checks:
        print(check)
    print(f"seed {run.seed}: {'everything holds' if run.holds else 'VIOLATED'}")


def _document(run: Run) -> dict[str, object]:
    return {
        "seed": run.seed,
        "holds": run.holds,
        "seconds": run.seconds,
        "acknowledged": len(run.ledger.acknowledged),
        "longest_silence_seconds": run.ledger.longest_silence_seconds,
        "faults": vars(run.faults),
        "writes": run.ledger.told,
        "reads": run.ledger.answers,
        "checks": [{**asdict(check), "holds": check.holds} for check in run.checks],
    }


if __name__ == "__main__":
    raise SystemExit(main())
