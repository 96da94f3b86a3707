"""`freshet up`: everything on this machine."""

import dataclasses
from pathlib import Path
from typing import Any

import click

from deploy.local.errors import LauncherError
from deploy.local.settings import SuiteSettings
from deploy.local.shop.running import RunSettings, run_local
from deploy.local.shop.traffic import RefusedError, ShopSettings
from services.console.failures import CommandFailed, run


def _absolute(_context: click.Context, _option: click.Parameter, text: str | None) -> Path | None:
    """Empty is what an unset variable of the shell leaves: the default is meant, not the folder one is in."""
    return Path(text).resolve() if text else None


@click.command(short_help="Start everything on this machine.")
@click.option("--shop", is_flag=True, help="With the simulated shop and the live view.")
@click.option("--namespace", metavar="NAME", help="Prefix of streams and database schema.")
@click.option(
    "--directory",
    callback=_absolute,
    type=click.Path(file_okay=False),
    help="Where log and database are kept.",
)
@click.option(
    "--domain", metavar="PRESET", help="Domain preset, such as video or e-commerce, or a YAML file."
)
@click.option(
    "--feature-instances",
    type=click.IntRange(min=1),
    metavar="N",
    help="Feature instances that share the partitions of the log (FRESHET_PARTITIONS); by default 1.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="JSON on stdout: the addresses; with --shop, snapshots too."
)
def up(shop: bool, as_json: bool, **chosen: Any) -> None:
    """Start NATS, PostgreSQL and all services on loopback, and keep them running until Ctrl-C.

    Ports can be moved with variables such as FRESHET_RANKING_PORT; 0 means a free one. A service that dies is
    started again. Of several feature instances, feature-1 has the ports of feature-0 plus 100, and so on.

    \b
    Example:
      freshet up --domain video --directory /tmp/films
      freshet up --feature-instances 4
    """
    given = {name: value for name, value in chosen.items() if value is not None}
    try:
        suite = dataclasses.replace(SuiteSettings.from_environment(), **given)
        run(run_local(RunSettings(suite, ShopSettings() if shop else None, json_lines=as_json)))
    except (LauncherError, RefusedError) as error:
        raise CommandFailed(str(error)) from error
