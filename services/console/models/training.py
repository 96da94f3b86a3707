"""Following a training run to its end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from google.protobuf.json_format import MessageToDict
from rich.console import RenderableType
from rich.progress import Progress, TaskID
from rich.table import Table
from rich.text import Text

from freshet.trainer.v1.trainer_pb2 import (
    TRAINING_STATE_FAILED,
    TRAINING_STATE_SUCCEEDED,
    TRAINING_STATE_TRAINING,
    TrainingRun,
    TrainingState,
    TrainingTrigger,
)
from services.console.output import Output, titled
from services.console.waiting import Waiting
from shared.client import FreshetClient
from shared.client.patience import PASSING, Patience

ENDED = (TRAINING_STATE_SUCCEEDED, TRAINING_STATE_FAILED)
RESUME_SECONDS = 0.5


def state_word(run: TrainingRun) -> str:
    """Where a run is, in one lower-case word."""
    return TrainingState.Name(run.state).removeprefix("TRAINING_STATE_").lower()


def trigger_word(run: TrainingRun) -> str:
    """What made a run start, in lower case, such as "new events"."""
    return TrainingTrigger.Name(run.trigger).removeprefix("TRAINING_TRIGGER_").lower().replace("_", " ")


async def draw_to_end(client: FreshetClient, run_id: str, output: Output, wait_seconds: float) -> TrainingRun:
    """Draws a run as it goes and returns it when it has ended. Raises NotFound."""
    run, waiting = TrainingRun(run_id=run_id), Waiting(output)
    with output.progress("steps") as progress:
        bar = progress.add_task("training", total=None, detail="")
        async for run in follow(client, run_id, Patience(wait_seconds, waiting.failed)):
            waiting.answered()
            _draw(progress, bar, run)
    return run


async def follow(client: FreshetClient, run_id: str, patience: Patience) -> AsyncIterator[TrainingRun]:
    """The run as it goes, to its end; a stream that breaks is taken up again while the patience lasts."""
    while True:
        try:
            async for answer in client.watch_training_run(run_id):
                patience.progressed()
                yield answer.run
                if answer.run.state in ENDED:
                    return
        except PASSING as error:
            await patience.pause(error)
        await asyncio.sleep(RESUME_SECONDS)


def _draw(progress: Progress, bar: TaskID, run: TrainingRun) -> None:
    progress.update(
        bar,
        description=state_word(run),
        total=run.total_steps or None,
        completed=run.step,
        detail=_detail(run) if run.state == TRAINING_STATE_TRAINING else "",
    )


def _detail(run: TrainingRun) -> str:
    """Until the first steps are told nothing is known of loss, speed and time."""
    speed = f"{run.examples_per_second:,.0f} examples/s"
    learned = f"loss {run.loss:.4f}  {speed}  {run.eta_seconds:,.0f} s to go" if run.step else ""
    resumed = f"resumed {_times(run.resumed_count)}" if run.resumed_count else ""
    return "  ".join(filter(None, (learned, resumed)))


def document(run: TrainingRun) -> dict[str, Any]:
    """The run as JSON shows it: with what is false or 0, too."""
    fields = MessageToDict(run, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    return {**fields, "state": state_word(run), "trigger": trigger_word(run)}


def seconds_of(run: TrainingRun) -> float:
    """How long a run took, from start to end."""
    return (run.end_time.ToDatetime() - run.start_time.ToDatetime()).total_seconds()


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def as_table(run: TrainingRun) -> RenderableType:
    """What came of a run, for people."""
    table = Table("metric", "value", title=titled(f"Training run {run.run_id}"))
    for name in sorted(run.metrics):
        table.add_row(Text(name), f"{run.metrics[name]:.4f}")
    return table


def summary(run: TrainingRun) -> str:
    """What became of a run, in one line."""
    resumed = f", resumed {_times(run.resumed_count)}," if run.resumed_count else ""
    told = f"{state_word(run)} after {seconds_of(run):.1f} s{resumed} on {run.event_count:,} events"
    if run.state == TRAINING_STATE_FAILED:
        return f"{told}: {run.error}"
    verdict = "promoted" if run.decision.promoted else "not promoted"
    return f"{told}; model {run.model_version} {verdict}: {run.decision.reason}"
