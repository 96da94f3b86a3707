"""How contestants are named, apart from what they name: a wrong name is told without loading torch, which takes
seconds."""

from __future__ import annotations

from collections.abc import Sequence

from services.trainer.model.encoders.names import KINDS, PRESET_NAMES

ALL, NONE, WITH_RULES, IN_INT8 = "all", "none", "+rules", "+int8"


class UnknownContestant(ValueError):
    """There is no such encoder or preset; the message names the option and what there is."""


def check(encoders: Sequence[str], preset: str) -> None:
    """Raises UnknownContestant unless there are such encoders, in a size of that name."""
    for encoder in encoders_named(encoders):
        kind_of(encoder)
    check_preset(preset)


def check_preset(preset: str) -> None:
    """Raises UnknownContestant unless there is a size of that name."""
    if preset not in PRESET_NAMES:
        known = ", ".join(PRESET_NAMES)
        raise UnknownContestant(f"--preset {preset}: there is no such size; choose of {known}")


def encoders_named(names: Sequence[str]) -> list[str]:
    """The names in the order asked for, "all" for every encoder by itself and "none" for no one, each once."""
    meant = {ALL: KINDS, NONE: ()}
    return list(dict.fromkeys(each for name in names for each in meant.get(name, (name,))))


def kind_of(encoder: str) -> str:
    """The kind of an encoder, with or without rules or int8. Raises UnknownContestant."""
    kind = encoder.removesuffix(WITH_RULES if encoder.endswith(WITH_RULES) else IN_INT8)
    if kind not in KINDS:
        known = ", ".join([*KINDS, ALL, NONE])
        raise UnknownContestant(
            f"--encoder {encoder}: there is no such encoder; choose of {known}, or with {WITH_RULES} or "
            f"{IN_INT8} behind it"
        )
    if encoder == "mf" + IN_INT8:
        raise UnknownContestant(f"--encoder {encoder}: matrix factorisation has no weights to quantise")
    return kind
