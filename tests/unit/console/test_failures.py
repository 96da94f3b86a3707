"""Failures in words, and being told to end."""

import asyncio
import os
import signal

import click
import grpc
import pytest

from services.console.failures import CommandFailed, advice, run
from services.console.judging.offline import ended_in_good_order
from shared.client import DeadlineExceeded, InvalidArgument, Unavailable, Unimplemented
from shared.client.errors import Details, FieldViolation, Origin

ORIGIN = Origin("ranking", "127.0.0.1:50053", "Recommend", "r")


def test_nobody_there_names_the_commands_and_the_variable():
    text = advice(Unavailable(grpc.StatusCode.UNAVAILABLE, "refused", Details(), ORIGIN))
    assert "nobody answers at 127.0.0.1:50053 (ranking)" in text
    assert "`make run`" in text
    assert "FRESHET_RANKING_ADDRESS" in text


def test_a_service_that_cannot_serve_says_why():
    details = Details(reason="LOG_UNAVAILABLE")
    text = advice(Unavailable(grpc.StatusCode.UNAVAILABLE, "the log is away", details, ORIGIN))
    assert text == "ranking cannot serve now: the log is away; try again, or see `freshet status`"


def test_a_failure_is_one_line_whatever_it_quotes(capsys):
    CommandFailed("x\ny is no event:\r\n it has no field nope").show()
    assert capsys.readouterr().err == "freshet: x y is no event: it has no field nope\n"


def test_other_failures_name_the_call():
    wrong = Details(violations=(FieldViolation("user_id", "is required"),))
    assert advice(InvalidArgument(grpc.StatusCode.INVALID_ARGUMENT, "", wrong, ORIGIN)) == (
        "Recommend: user_id: is required"
    )
    late = DeadlineExceeded(grpc.StatusCode.DEADLINE_EXCEEDED, "", Details(), ORIGIN)
    assert "did not answer Recommend in time" in advice(late)
    assert "of this version" in advice(Unimplemented(grpc.StatusCode.UNIMPLEMENTED, "", Details(), ORIGIN))


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_the_work_clean_up_and_aborts(number):
    cleaned: list[bool] = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    with pytest.raises(click.Abort):
        run(work())
    assert cleaned == [True]


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_what_is_judged_on_this_machine_as_ctrl_c_does(number):
    with pytest.raises(KeyboardInterrupt), ended_in_good_order():
        os.kill(os.getpid(), number)


def test_the_end_of_the_terminal_is_ignored_behind_nohup():
    async def work() -> str:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0)
        return "done"

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run(work()) == "done"
    finally:
        signal.signal(signal.SIGHUP, before)
