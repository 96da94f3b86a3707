"""A small run of the fuzzer: what must be refused is refused by name, at both doors, and nothing else happens."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.__main__ import passed
from tests.fuzz.kinds import KINDS, make_case
from tests.fuzz.run import Plan, fuzz
from tests.fuzz.tally import GRPC, NATS

MESSAGES = 4000


@pytest.mark.asyncio
async def test_both_doors_refuse_by_name_what_must_be_refused(tmp_path):
    report = await fuzz(Plan(MESSAGES, seed=7, directory=tmp_path), lambda count: None)
    assert report.tally.misses == []
    assert passed(report)
    assert report.tally.letters == MESSAGES // 2
    assert report.tally.probes[NATS] and report.tally.probes[GRPC]


def test_the_same_seed_makes_the_same_messages_of_every_kind():
    first, second = ([make_case(random.Random(f"5-{number}")) for number in range(3000)] for _ in range(2))
    assert first == second
    assert {case.kind for case in first} == set(KINDS)
