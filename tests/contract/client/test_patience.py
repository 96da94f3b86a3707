"""Writing many facts while services come and go."""

import grpc
import pytest

from freshet.ingestion.v1.ingestion_pb2 import (
    WRITE_STATUS_ACCEPTED,
    WRITE_STATUS_UNAVAILABLE,
    BatchWriteUserEventsResponse,
    WriteOutcome,
)
from shared.client import InvalidArgument, Unavailable
from shared.client.errors import Details, Origin
from shared.client.patience import Patience, merge_tokens, write_all
from shared.domain.consistency import decode_token, encode_token

ORIGIN = Origin("ingestion", "127.0.0.1:1", "BatchWriteUserEvents", "r")
AWAY = Unavailable(grpc.StatusCode.UNAVAILABLE, "away", Details(retry_delay_seconds=0.001), ORIGIN)
WRONG = InvalidArgument(grpc.StatusCode.INVALID_ARGUMENT, "wrong", Details(), ORIGIN)


class Log:
    """Takes facts; a mood for each batch: an error, or which facts are taken."""

    def __init__(self, *moods) -> None:
        self.moods, self.batches, self.position = list(moods), [], 0

    async def write(self, facts: list[str]) -> BatchWriteUserEventsResponse:
        mood = self.moods.pop(0) if self.moods else facts
        if isinstance(mood, Exception):
            raise mood
        self.batches.append(facts)
        self.position += 1
        statuses = [WRITE_STATUS_ACCEPTED if fact in mood else WRITE_STATUS_UNAVAILABLE for fact in facts]
        return BatchWriteUserEventsResponse(
            outcomes=[
                WriteOutcome(id=fact, status=status) for fact, status in zip(facts, statuses, strict=True)
            ],
            consistency_token=encode_token({self.position: self.position}),
        )


async def test_a_failure_that_passes_is_waited_out_and_told():
    heard = []
    written = await write_all(Log(AWAY, AWAY).write, ["a"], Patience(60, heard.append))
    assert ([outcome.id for outcome in written.outcomes], len(heard)) == (["a"], 2)


async def test_only_what_was_not_written_is_sent_again_in_its_order():
    log = Log(["b"])
    written = await write_all(log.write, ["a", "b", "c"], Patience(60))
    assert log.batches == [["a", "b", "c"], ["a", "c"]]
    assert {outcome.status for outcome in written.outcomes} == {WRITE_STATUS_ACCEPTED}
    assert [outcome.id for outcome in written.outcomes] == ["a", "b", "c"]


async def test_the_token_covers_every_part():
    written = await write_all(Log(["b"]).write, ["a", "b"], Patience(60))
    assert decode_token(written.consistency_token) == {1: 1, 2: 2}


async def test_a_failure_that_will_not_pass_is_raised_at_once():
    with pytest.raises(InvalidArgument):
        await write_all(Log(WRONG).write, ["a"], Patience(60))


async def test_patience_ends():
    with pytest.raises(Unavailable):
        await write_all(Log(AWAY).write, ["a"], Patience(0))
    with pytest.raises(Unavailable, match="does not reach the log"):
        await write_all(Log([]).write, ["a"], Patience(0))


async def test_nothing_to_write_sends_nothing():
    log = Log()
    assert (await write_all(log.write, [], Patience(0))).outcomes == []
    assert log.batches == []


def test_merged_tokens_keep_the_later_position_of_each_partition():
    merged = merge_tokens(encode_token({1: 5, 2: 9}), encode_token({2: 7, 3: 1}))
    assert decode_token(merged) == {1: 5, 2: 9, 3: 1}
    assert merge_tokens("", merged) == merge_tokens(merged, "") == merged
