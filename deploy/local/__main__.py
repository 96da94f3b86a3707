"""`python -m deploy.local`: the whole of Freshet on this machine, with a simulated shop and a live view."""

import asyncio
import sys
from typing import Any

import click

from deploy.local.errors import LauncherError
from deploy.local.settings import SuiteSettings
from deploy.local.shop.running import RunSettings, run_local
from deploy.local.shop.traffic import EVENTS_PER_SECOND_AND_SHOPPER, RefusedError, ShopSettings
from services.console.number_options import Real, Whole
from services.console.unwritten import failing_when_unwritten
from shared.client import FreshetError


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--duration", type=Real(min=0), metavar="SECONDS", help="End by itself after so long.")
@click.option("--seed", type=Whole(0), default=1, show_default=True, help="Equal seeds make equal shops.")
@click.option(
    "--shoppers",
    "shopper_count",
    type=click.IntRange(2, 9_999),
    default=300,
    show_default=True,
    help="How many.",
)
@click.option(
    "--events-per-second",
    type=Real(min=1),
    default=200.0,
    show_default=True,
    help=f"At most so many, and {EVENTS_PER_SECOND_AND_SHOPPER:g} a shopper: more is refused as a flood.",
)
@click.option(
    "--warm-up-events", type=Whole(0), default=60_000, show_default=True, help="Events of the past."
)
@click.option(
    "--json-lines", is_flag=True, help="JSON lines on stdout: first the addresses, then a snapshot every 5 s."
)
def main(duration: float | None, json_lines: bool, **shop: Any) -> None:
    """Run Freshet with a simulated shop until Ctrl-C.

    Ports, directory and brokers are chosen by FRESHET_* variables, such as FRESHET_RANKING_PORT,
    FRESHET_DIRECTORY and FRESHET_NATS_URL; FRESHET_FEATURE_INSTANCES starts several feature instances.
    """
    try:
        suite = SuiteSettings.from_environment()
        with failing_when_unwritten():
            asyncio.run(run_local(RunSettings(suite, ShopSettings(**shop), duration, json_lines)))
    except (LauncherError, FreshetError, RefusedError) as error:
        sys.exit(f"freshet: {error}")


if __name__ == "__main__":
    main()
