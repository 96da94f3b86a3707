"""A held process that takes a while until it would end with what holds it; it says how often it went on before."""

from __future__ import annotations

import signal
import time

from shared.runtime import pacing

SECONDS = 0.2
end_with, went_on = pacing._end_with, []


def end_with_later(parent: int) -> None:
    """What a child does first, on a busy machine."""
    signal.signal(signal.SIGCONT, lambda *_: went_on.append(1))
    time.sleep(SECONDS)
    print(len(went_on), flush=True)
    end_with(parent)


if __name__ == "__main__":
    pacing._end_with = end_with_later
    pacing.pace(0.2, [])
