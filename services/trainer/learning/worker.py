"""The process that learns: `python -m services.trainer.learning.worker CHANNEL`, started by the trainer for one run.

CHANNEL is the number of the socket's descriptor on which the job comes, as one line, and reports go. It is
the leash, too: when it ends, so has the trainer, and this process ends at once. What it has learned up to its last
checkpoint lies in the job's directory, for the process that the next trainer starts.

Decision: a process, not a thread. Learning keeps the interpreter busy for minutes; here it cannot hold up
health checks or SIGTERM, runs at low priority, can be ended at any moment, and gives its memory back.
"""

from __future__ import annotations

import asyncio
import logging

import structlog

from services.trainer.learning.job_clock import JobClock
from services.trainer.learning.learning import Tell, learn
from services.trainer.model.export.encoder_graph import ExportError
from services.trainer.model.fitting.device import DeviceMissing
from services.trainer.model.fitting.plan import TrainingError
from services.trainer.patience import StillAwayError, first_line
from services.trainer.processes.reports import Failed, Job, Report, decode_job, encode_report
from services.trainer.reading.archive_reading import read
from shared.runtime.leash import Leash
from shared.runtime.logs import configure_logs
from shared.runtime.memory import keep_for_the_next
from shared.runtime.priority import step_back

_log = structlog.get_logger("worker")


def main() -> None:
    """Do the one job, or say why not."""
    leash = Leash()
    keep_for_the_next()
    job = decode_job(leash.job)
    step_back(job.niceness)
    configure_logs("trainer", job.log_level)
    logging.captureWarnings(True)
    logging.getLogger("torch").setLevel(logging.ERROR)

    def tell(report: Report) -> None:
        leash.tell(encode_report(report))

    tell(_outcome(job, tell))


def _outcome(job: Job, tell: Tell) -> Report:
    clock = JobClock(job.max_minutes)
    try:
        return learn(asyncio.run(read(job, "trainer-worker")), job, tell, clock)
    except (TrainingError, ExportError, DeviceMissing) as error:
        return Failed(str(error))
    except StillAwayError as error:
        return Failed(f"the archive could not be read: {error}")
    except Exception as error:
        _log.error("learning failed", exc_info=error)
        return Failed(f"a defect in learning, see the log: {type(error).__name__}: {first_line(error)}")


if __name__ == "__main__":
    main()
