"""What comes of a job that judges, told in one report whatever happens."""

from __future__ import annotations

import asyncio

import structlog

from services.trainer.judging.evaluating import NothingToJudge, Tell, judge_data
from services.trainer.judging.model_judging import judge_model
from services.trainer.judging.pair_judging import judge_pair
from services.trainer.model.fitting.plan import TrainingError
from services.trainer.patience import StillAwayError, first_line
from services.trainer.processes.evaluation_jobs import (
    DataJob,
    EvaluationJob,
    EvaluationReport,
    Failed,
    PairJob,
)
from services.trainer.reading.archive_reading import read
from shared.adapters.codecs.bundle import CorruptBundleError

_log = structlog.get_logger("evaluator")


def outcome(job: EvaluationJob, tell: Tell) -> EvaluationReport:
    """The last report; those before it are told."""
    try:
        if isinstance(job, DataJob):
            return judge_data(job, tell)
        columns = asyncio.run(read(job, "trainer-evaluator"))
        return judge_pair(columns, job) if isinstance(job, PairJob) else judge_model(columns, job, tell)
    except NothingToJudge as error:
        return Failed(str(error), refused=True)
    except (TrainingError, CorruptBundleError) as error:
        return Failed(str(error))
    except StillAwayError as error:
        return Failed(f"the archive could not be read: {error}")
    except Exception as error:
        _log.error("judging failed", exc_info=error)
        return Failed(f"a defect in judging, see the log: {type(error).__name__}: {first_line(error)}")
