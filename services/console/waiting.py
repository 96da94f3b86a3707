"""What is said while a service that is away is waited for."""

from services.console.failures import advice
from services.console.output import Output
from shared.client import FreshetError


class Waiting:
    """Says at once for whom a command waits, and what to do about it; once, until that one has answered."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._service = ""

    def failed(self, failure: FreshetError) -> None:
        """Notes a failure that is waited out."""
        if self._service != failure.origin.service:
            self._service = failure.origin.service
            self._output.note(f"waiting: {advice(failure)}")

    def answered(self) -> None:
        """Notes an answer: the next failure is news."""
        self._service = ""
