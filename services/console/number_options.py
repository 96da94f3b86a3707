"""Numbers as options: click's own ranges let numbers through that no range holds, or no machine word."""

import math
from typing import Any

import click

LARGEST = 2**63 - 1


class Whole(click.IntRange):
    """A whole number of at least `least` that 64 bits hold."""

    def __init__(self, least: int) -> None:
        super().__init__(min=least)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises click.BadParameter naming the option."""
        number = super().convert(value, param, ctx)
        if number > LARGEST:
            self.fail(f"{number} is too large: give at most {LARGEST}.", param, ctx)
        return number


class Real(click.FloatRange):
    """A finite number in a range: nan is in every range of click's, as it is neither below nor above its ends."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises click.BadParameter naming the option."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is not finite: give a number.", param, ctx)
        return number
