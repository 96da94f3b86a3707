"""Calls about dead letters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import grpc
import nats.errors

from freshet.ingestion.v1 import ingestion_pb2, ingestion_pb2_grpc
from services.ingestion.answers import check_size, refuse_if
from services.ingestion.letters.dead_letters import DeadLetters, Wanted
from services.ingestion.letters.redriving import Redriving
from shared.adapters.jetstream.log_writer import LogOverloadedError
from shared.adapters.jetstream.streams import StreamError
from shared.domain.violation import Violation
from shared.runtime.errors import overloaded, unavailable
from shared.runtime.rpc import unary

DEFAULT_PAGE = 50
MAX_PAGE = 500


class DeadLetterCalls(ingestion_pb2_grpc.IngestionServiceServicer):
    """Translates between messages and the dead letters; decides nothing."""

    _letters: DeadLetters
    _redriving: Redriving

    @unary
    async def ListDeadLetters(
        self, request: ingestion_pb2.ListDeadLettersRequest, context: grpc.aio.ServicerContext
    ) -> ingestion_pb2.ListDeadLettersResponse:
        wanted = _wanted(request)
        with _log_away():
            page = await self._letters.page(wanted)
        return ingestion_pb2.ListDeadLettersResponse(
            dead_letters=page.letters, next_page_token=str(page.before) if page.before else ""
        )

    @unary
    async def RedriveDeadLetters(
        self, request: ingestion_pb2.RedriveDeadLettersRequest, context: grpc.aio.ServicerContext
    ) -> ingestion_pb2.RedriveDeadLettersResponse:
        check_size("redrives", len(request.redrives), MAX_PAGE)
        _check_once([each.dead_letter_id for each in request.redrives])
        with _log_away():
            outcomes = await self._redriving.redrive(request.redrives)
        return ingestion_pb2.RedriveDeadLettersResponse(outcomes=outcomes)


def _wanted(request: ingestion_pb2.ListDeadLettersRequest) -> Wanted:
    size, token = request.page_size, request.page_token
    violations = []
    if not 0 <= size <= MAX_PAGE:
        rule = f"is {size}; must be 1 to {MAX_PAGE}, or 0 for {DEFAULT_PAGE}"
        violations.append(Violation("page_size", rule, "OUT_OF_RANGE"))
    if token and not (token.isascii() and token.isdigit() and len(token) < 20):
        rule = "must be a next_page_token of an earlier answer"
        violations.append(Violation("page_token", rule, "MALFORMED"))
    refuse_if(violations)
    return Wanted(size or DEFAULT_PAGE, int(token or 0), request.reason, request.include_redriven)


@contextmanager
def _log_away() -> Iterator[None]:
    try:
        yield
    except LogOverloadedError as error:
        raise overloaded(str(error)) from error
    except (nats.errors.Error, StreamError, TimeoutError, OSError) as error:
        silent = isinstance(error, TimeoutError) or not str(error)
        reason = "the log does not answer" if silent else str(error)
        raise unavailable("LOG_UNAVAILABLE", reason) from error


def _check_once(letter_ids: Sequence[str]) -> None:
    """Raises a refusal that names each letter that is there already: it takes effect at most once."""
    first: dict[str, int] = {}
    refuse_if(
        [
            Violation(
                f"redrives[{place}].dead_letter_id",
                f"is that of redrives[{before}]; send each once",
                "DUPLICATE",
            )
            for place, letter_id in enumerate(letter_ids)
            if (before := first.setdefault(letter_id, place)) != place
        ]
    )
