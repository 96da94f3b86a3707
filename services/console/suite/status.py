"""`freshet status`: which services serve, and how far they are."""

import click
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from services.console.failures import CommandFailed, run
from services.console.output import Output, Unbroken, json_option
from services.console.suite.health import DOWN, ServiceHealth, health_of_all
from shared.client import FreshetClient


@click.command(short_help="Show how the services are.")
@json_option
def status(as_json: bool) -> None:
    """Show the health of every service, the position features are folded to, and the model in service.

    Several feature instances are shown one by one, with their partitions, when FRESHET_FEATURE_ADDRESS names them:
    "0-7=host:port,8-15=host:port", as `freshet up` prints it. Ends with 1 if a service does not serve.

    \b
    Example:
      freshet status --json
    """
    states = run(_status())
    document = {"services": [state.document() for state in states]}
    Output(as_json).result(document, as_table(states))
    away = [state for state in states if not state.serving]
    if away:
        told = ", ".join(f"{state.service} at {state.address} ({state.reason})" for state in away)
        start = (
            "; start with `make run` or `freshet up`" if any(state.state == DOWN for state in away) else ""
        )
        raise CommandFailed(f"not serving: {told}{start}")


async def _status() -> list[ServiceHealth]:
    async with FreshetClient() as client:
        return await health_of_all(client)


def as_table(states: list[ServiceHealth]) -> RenderableType:
    """The states for people."""
    table = Table("service", "address", "health", "")
    for state in states:
        colour = "green" if state.serving else "red"
        facts = "\n".join(f"{name.replace('_', ' ')}: {_text(fact)}" for name, fact in state.facts.items())
        table.add_row(state.service, Text(state.address), Text(state.state, style=colour), Text(facts))
    return Unbroken(table)


def _text(fact: object) -> str:
    if fact is None:
        return "none"
    return f"{fact:,}" if isinstance(fact, int | float) else str(fact)
