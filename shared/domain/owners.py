"""Which instance of the feature service owns which partitions, as one setting says it for all who ask."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

DEFAULT_PARTITIONS = 16
"""Of a log for which FRESHET_PARTITIONS does not say another number."""
_PART = re.compile(r"(\d+)(?:-(\d+))?=(.+)")
_ADDRESS = re.compile(r"[^\s=,]+:\d{1,5}")


@dataclass(frozen=True, slots=True)
class Owners:
    """addresses: host:port of the owner of each partition, (partitions,)."""

    addresses: tuple[str, ...]

    @property
    def instances(self) -> tuple[str, ...]:
        """Each address once, in the order of the first partition it owns."""
        return tuple(dict.fromkeys(self.addresses))

    def of(self, user_key: int) -> str:
        """The address of the instance that owns a user."""
        return self.addresses[user_key % len(self.addresses)]

    def partitions_of(self, address: str) -> tuple[int, ...]:
        """What an instance owns, ascending."""
        return tuple(partition for partition, owner in enumerate(self.addresses) if owner == address)

    @property
    def text(self) -> str:
        """The setting that says so; `parse_owners` reads it back."""
        if len(self.instances) == 1:
            return self.addresses[0]
        owned = [(address, ranges(self.partitions_of(address))) for address in self.instances]
        return ",".join(f"{part}={address}" for address, parts in owned for part in parts)


def ranges(partitions: Sequence[int]) -> list[str]:
    """Ascending partitions as settings name them, for example ["0-7"] or ["0", "2-3"]."""
    runs = [
        [partition for _, partition in run]
        for _, run in groupby(enumerate(partitions), key=lambda each: each[1] - each[0])
    ]
    return [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]


def divided(partitions: int, addresses: Sequence[str]) -> Owners:
    """Partitions divided among instances in their order, one run for each, as equal as can be.

    Raises ValueError when there are more instances than partitions.
    """
    if not 1 <= len(addresses) <= partitions:
        raise ValueError(f"{len(addresses)} instances cannot share {partitions} partitions")
    return Owners(tuple(addresses[number * len(addresses) // partitions] for number in range(partitions)))


def parse_owners(text: str, partitions: int) -> Owners:
    """Owners from "host:port" for one instance, or "0-7=host:port,8-15=host:port" for several.

    Raises ValueError that names the part that is wrong, or the partitions that have no owner, or two.
    """
    if _ADDRESS.fullmatch(text):
        return Owners((text,) * partitions)
    owners: dict[int, str] = {}
    for part in text.split(","):
        for partition, address in _owned(part.strip(), partitions):
            if partition in owners:
                raise ValueError(f"partition {partition} has two owners: {owners[partition]} and {address}")
            owners[partition] = address
    if missing := [partition for partition in range(partitions) if partition not in owners]:
        raise ValueError(f"partitions without an owner: {missing}")
    return Owners(tuple(owners[partition] for partition in range(partitions)))


def _owned(part: str, partitions: int) -> Iterator[tuple[int, str]]:
    match = _PART.fullmatch(part)
    if match is None or not _ADDRESS.fullmatch(match[3]):
        raise ValueError(f'{part!r} must be host:port, or partitions and owner such as "0-7=host:port"')
    first, last = int(match[1]), int(match[2] or match[1])
    if not first <= last < partitions:
        raise ValueError(f"{part!r} names partitions beyond 0 to {partitions - 1}")
    for partition in range(first, last + 1):
        yield partition, match[3]
