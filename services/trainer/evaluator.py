"""The process that judges: `python -m services.trainer.evaluator CHANNEL`.

CHANNEL is the number of a socket's descriptor: the job comes on it as one line, reports go back, and it is the
leash: when it ends, whoever asked is gone, and this process ends at once. A process of its own for the reasons
of the one that learns, and because the command line must not load torch.
"""

from __future__ import annotations

import asyncio
import logging

import structlog

from services.trainer.archive_reading import read
from services.trainer.evaluating import NothingToJudge, Tell, judge_data, judge_model
from services.trainer.evaluation_jobs import (
    DataJob,
    EvaluationJob,
    EvaluationReport,
    Failed,
    PairJob,
    decode,
    encode,
)
from services.trainer.model.contestants import UnknownContestant
from services.trainer.model.plan import TrainingError
from services.trainer.pair_judging import judge_pair
from services.trainer.patience import StillAwayError, first_line
from shared.adapters.bundle import CorruptBundleError
from shared.runtime.leash import Leash
from shared.runtime.logs import configure_logs
from shared.runtime.memory import keep_for_the_next
from shared.runtime.priority import step_back

_log = structlog.get_logger("evaluator")


def main() -> None:
    """Do the one job, or say why not."""
    leash = Leash()
    keep_for_the_next()
    job = decode(leash.job)
    step_back(job.niceness)
    configure_logs("trainer", "warning" if isinstance(job, DataJob) else job.log_level)
    logging.captureWarnings(True)

    def tell(report: EvaluationReport) -> None:
        leash.tell(encode(report))

    tell(_outcome(job, tell))


def _outcome(job: EvaluationJob, tell: Tell) -> EvaluationReport:
    try:
        if isinstance(job, DataJob):
            return judge_data(job, tell)
        columns = asyncio.run(read(job, "trainer-evaluator"))
        return judge_pair(columns, job) if isinstance(job, PairJob) else judge_model(columns, job, tell)
    except (NothingToJudge, UnknownContestant) as error:
        return Failed(str(error), refused=True)
    except (TrainingError, CorruptBundleError) as error:
        return Failed(str(error))
    except StillAwayError as error:
        return Failed(f"the archive could not be read: {error}")
    except Exception as error:
        _log.error("judging failed", exc_info=error)
        return Failed(f"a defect in judging, see the log: {type(error).__name__}: {first_line(error)}")


if __name__ == "__main__":
    main()
