"""Turning a data set into the facts that are sent, and leaving out what is kept for judging."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import xxhash

from freshet.catalog.v1.item_pb2 import Item
from freshet.event.v1.event_pb2 import EventItem, UserEvent
from services.console.datasets.dataset import RATE, Dataset, DatasetItem, Interaction
from shared.client import user_event

LEAST_HISTORY, MOST_HISTORY = 50, 200
EVENT_ID = re.compile(r"[\x21-\x7e]{1,128}")


def event_of(interaction: Interaction, dataset: str) -> UserEvent:
    """The event of an interaction; its id follows from its content, so a second replay changes nothing."""
    value = None if math.isnan(interaction.rating) else interaction.rating
    return user_event(
        interaction.event_type,
        interaction.user,
        [EventItem(item_id=interaction.item, value=value)],
        event_id=event_id(interaction, dataset),
        event_time=datetime.fromtimestamp(interaction.timestamp, UTC),
    )


def event_id(interaction: Interaction, dataset: str) -> str:
    """<dataset>-<user>-<item>-<timestamp>, with -<type> for other types than rate; or a digest of that where it makes
    no valid id."""
    text = f"{dataset}-{interaction.user}-{interaction.item}-{interaction.timestamp:.15g}"
    text += "" if interaction.event_type == RATE else f"-{interaction.event_type}"
    return text if EVENT_ID.fullmatch(text) else f"replay-{xxhash.xxh3_128_hexdigest(text.encode())}"


def item_of(item: DatasetItem) -> Item:
    """The catalogue's form of an item."""
    return Item(item_id=item.item, title=item.title, categories=item.genres)


def catalogue_of(dataset: Dataset) -> list[DatasetItem]:
    """The items of items.tsv, and a bare entry for each that was rated without standing there."""
    known = {item.item for item in dataset.items}
    strangers = dict.fromkeys(row.item for row in dataset.interactions if row.item not in known)
    return [*dataset.items, *(DatasetItem(item, "", ()) for item in strangers)]


def usual_history(interactions: Sequence[Interaction]) -> int:
    """Events of a history that serve nine users of ten in full, within [LEAST_HISTORY, MOST_HISTORY]."""
    lengths = sorted(Counter(row.user for row in interactions).values())
    ninth_of_ten = lengths[-(-9 * len(lengths) // 10) - 1] if lengths else 0
    return min(max(ninth_of_ten, LEAST_HISTORY), MOST_HISTORY)


def leave_one_out(
    interactions: Sequence[Interaction],
) -> tuple[list[Interaction], dict[str, Interaction]]:
    """All but each user's last interaction, in file order; and the last ones by user.

    The last is the one with the latest timestamp; of several, the one that stands last in the file.
    """
    last: dict[str, int] = {}
    for index, row in enumerate(interactions):
        if row.user not in last or row.timestamp >= interactions[last[row.user]].timestamp:
            last[row.user] = index
    held_out = set(last.values())
    kept = [row for index, row in enumerate(interactions) if index not in held_out]
    return kept, {user: interactions[index] for user, index in last.items()}


def side_by_side(interactions: Sequence[Interaction]) -> list[Interaction]:
    """The same interactions, each user's by time, ordered by how far the user is through their own.

    Decision: leave-one-out asks for every user's next item, wherever in time that lies. Sent in the order of a
    data set that spans months, the newest share of the log, by which the trainer's gate judges, would belong to
    the few users who came last. Side by side it holds every user's newest events, and the gate asks what the
    protocol asks. Event times stay as they are. The log's order is what histories are told in, so a file that is in
    another order than that of time would be judged by scrambled ones; those of one time stay as in the file.
    """
    interactions = sorted(interactions, key=lambda row: row.timestamp)
    counts = Counter(row.user for row in interactions)
    done: Counter[str] = Counter()
    progress: list[float] = []
    for row in interactions:
        done[row.user] += 1
        progress.append(done[row.user] / counts[row.user])
    order = sorted(range(len(interactions)), key=progress.__getitem__)
    return [interactions[index] for index in order]
