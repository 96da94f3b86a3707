"""How far long work has come where no terminal shows a bar: a line now and then."""

import time
from typing import Any

from rich.console import Console
from rich.progress import Progress, Task, TaskID
from rich.text import Text

SECONDS_BETWEEN_LINES = 30.0


class ProgressLines(Progress):
    """Takes what a bar takes. Work that ends before the first line is due says nothing."""

    def __init__(self, unit: str, console: Console) -> None:
        """unit: of what is counted; may be empty."""
        super().__init__(console=console, disable=True)
        self._unit, self._told = unit, time.monotonic()

    def update(self, task_id: TaskID, *told: Any, **fields: Any) -> None:
        """See `Progress.update`."""
        super().update(task_id, *told, **fields)
        self._tell(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """See `Progress.advance`."""
        super().advance(task_id, advance)
        self._tell(task_id)

    def _tell(self, task_id: TaskID) -> None:
        now = time.monotonic()
        if now - self._told >= SECONDS_BETWEEN_LINES:
            self._told = now
            self.console.print(Text(self._line(self._tasks[task_id])), soft_wrap=True)

    def _line(self, task: Task) -> str:
        total = "" if task.total is None else f" of {task.total:,.0f}"
        counted = f"{task.completed:,.0f}{total} {self._unit}".strip()
        return "  ".join(filter(None, (f"{task.description}: {counted}", task.fields.get("detail", ""))))
