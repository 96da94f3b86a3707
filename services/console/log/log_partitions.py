"""How many partitions the log has, asked of the log itself."""

import os

from nats.aio.client import Client

from services.console.failures import CommandFailed
from services.console.feature_instances import PARTITIONS_VARIABLE
from shared.adapters.jetstream.streams import Names, log_partitions


async def partitions_of(connection: Client, names: Names, told: int) -> int:
    """The number that the log was made with; `told`, the environment's or the default, for a log that does not know.

    Raises CommandFailed when FRESHET_PARTITIONS says another number: what is looked for in another partition is not
    found. Raises StreamError, and what nats-py raises while NATS is away.
    """
    known = await log_partitions(connection, names)
    if known is None:
        return told
    if os.environ.get(PARTITIONS_VARIABLE) and told != known:
        raise CommandFailed(
            f"the log {names.events} has {known} partitions, and {PARTITIONS_VARIABLE} is {told}: set it to {known} or "
            "not at all"
        )
    return known
