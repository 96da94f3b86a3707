"""A proof covers every partition, or there is none."""

from __future__ import annotations

import pytest

from freshet.feature.v1.feature_pb2 import Fold, GetStateDigestResponse, PartitionDigest
from services.console.failures import CommandFailed
from services.console.log.replay_check import served_digests


def answer(*partitions: int) -> GetStateDigestResponse:
    digests = [PartitionDigest(partition=each) for each in partitions]
    return GetStateDigestResponse(partition_digests=digests, fold=Fold(partitions=4))


def test_what_all_instances_say_is_put_together():
    assert sorted(served_digests([answer(0, 1), answer(3, 2)])) == [0, 1, 2, 3]


def test_a_partition_that_nobody_answers_for_is_named():
    with pytest.raises(
        CommandFailed, match=r"partitions \[1, 2\]: name all instances in FRESHET_FEATURE_ADDRESS"
    ):
        served_digests([answer(0, 3)])
