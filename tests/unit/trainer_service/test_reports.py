"""What passes between the service and the process that learns arrives as it was sent."""

import pytest

from freshet.trainer.v1.trainer_pb2 import TRAINING_STATE_JUDGING
from services.trainer.policies.gate import Evidence
from services.trainer.processes.reports import (
    Entered,
    Failed,
    Finished,
    Learned,
    Read,
    decode_job,
    decode_report,
    encode_job,
    encode_report,
)
from tests.unit.trainer_service.builders import JOB

REPORTS = [
    Entered(TRAINING_STATE_JUDGING),
    Read(1000),
    Learned(20, 100, 6.5, 2000.0, 4.25),
    Finished("ab" * 32, "/there/candidate.bundle", 7, {"ndcg@10": 0.5}, Evidence(40, 0.5, 0.25)),
    Failed("no user has two events\nof which one is late"),
]


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: type(report).__name__)
def test_a_report_is_one_line_and_comes_back(report):
    line = encode_report(report)
    assert line.count(b"\n") == 1
    assert decode_report(line) == report
    assert type(decode_report(line)) is type(report)


def test_a_job_is_one_line_and_comes_back():
    line = encode_job(JOB)
    assert line.count(b"\n") == 1
    assert decode_job(line) == JOB


def test_an_unknown_report_is_an_error():
    with pytest.raises(KeyError):
        decode_report(b'["Guessed", {}]')
