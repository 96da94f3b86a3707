"""The process that judges: `python -m services.trainer.judging.evaluator CHANNEL`.

CHANNEL is the number of a socket's descriptor: the job comes on it as one line, reports go back, and it is the
leash: when it ends, whoever asked is gone, and this process ends at once. A process of its own for the reasons
of the one that learns, and because the command line must not load torch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from services.trainer.model.contest.contestant_names import UnknownContestant, check
from services.trainer.processes.evaluation_jobs import (
    DataJob,
    EvaluationJob,
    EvaluationReport,
    Failed,
    decode,
    encode,
)
from shared.runtime.leash import Leash
from shared.runtime.logs import configure_logs
from shared.runtime.memory import keep_for_the_next
from shared.runtime.priority import step_back


def main() -> None:
    """Do the one job, or say why not."""
    leash = Leash()
    keep_for_the_next()
    job = decode(leash.job)
    step_back(job.niceness)
    configure_logs("trainer", "warning" if isinstance(job, DataJob) else job.log_level)
    logging.captureWarnings(True)
    leash.tell(encode(_outcome(job, lambda report: leash.tell(encode(report)))))


def _outcome(job: EvaluationJob, tell: Callable[[EvaluationReport], None]) -> EvaluationReport:
    try:
        if isinstance(job, DataJob):
            check(job.encoders, job.preset)
    except UnknownContestant as error:
        return Failed(str(error), refused=True)
    from services.trainer.judging.evaluation_outcome import outcome  # loads torch: behind the refusal

    return outcome(job, tell)


if __name__ == "__main__":
    main()
