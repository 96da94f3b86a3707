"""The first lines of a local run: how to talk to what was started."""

import shlex
from typing import Any

from deploy.local.ports import LOOPBACK
from deploy.local.suite import Suite
from shared.client.addresses import DEFAULTS, address_variable

EXAMPLE_USER = "shopper-0001"


def welcome(suite: Suite) -> list[str]:
    """How to reach each service, the log, the database and the metrics, and what to type first."""
    lines = ["Freshet is up:"]
    for each in suite.instances:
        metrics = f"http://{LOOPBACK}:{each.metrics.number}/metrics"
        lines.append(f"  {each.name:<10} {each.address}   metrics {metrics}")
    lines += [f"  log        {suite.nats_url}", f"  database   {suite.database_url}"]
    if suite.brokers.nats is not None and suite.brokers.nats.monitor_port:
        lines.append(f"  NATS       http://127.0.0.1:{suite.brokers.nats.monitor_port}")
    return [*lines, "Try, in another terminal:", *(f"  {command}" for command in examples(suite))]


def whereabouts(suite: Suite) -> dict[str, Any]:
    """The same for programs: addresses by service and by instance, what to tell the command and the SDK in their
    environment, and the URLs of log and database."""
    return {
        "addresses": {name: suite.address(name) for name in suite.settings.services},
        "instances": {each.name: each.address for each in suite.instances},
        "environment": suite.variables,
        "nats_url": suite.nats_url,
        "database_url": suite.database_url,
        "namespace": suite.settings.namespace,
    }


def examples(suite: Suite) -> list[str]:
    """Commands that work as they stand, whatever the ports."""
    documented = {address_variable(name): address for name, address in DEFAULTS.items()}
    moved = {name: text for name, text in suite.variables.items() if text != documented.get(name)}
    export = " ".join(f"{name}={shlex.quote(address)}" for name, address in moved.items())
    request = f'{{"user_id": "{EXAMPLE_USER}", "page_size": 5}}'
    python = (
        "from shared.client import SyncFreshetClient as Client; "
        f"print(Client().recommend('{EXAMPLE_USER}', page_size=5))"
    )
    return [
        *([f"export {export}"] if moved else []),
        f".venv/bin/freshet recommend {EXAMPLE_USER}",
        ".venv/bin/freshet status",
        f'.venv/bin/python -c "{python}"',
        f"grpcurl -plaintext -d {shlex.quote(request)} {suite.address('ranking')} "
        "freshet.ranking.v1.RankingService/Recommend",
    ]
