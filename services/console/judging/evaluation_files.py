"""The files of `freshet evaluate`: made sure of before anything is judged, written once the result is shown."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from services.console.failures import CommandFailed


class Files(NamedTuple):
    """Where to write the document and the pictures; None: nowhere."""

    document: Path | None
    pictures: Path | None

    def prepare(self) -> None:
        """Makes the directories. Raises CommandFailed naming the option whose files could not be written."""
        if self.document is not None and not self.document.exists():
            with _named("--output", self.document):
                _prepare(self.document.parent)
        if self.pictures is not None:
            with _named("--plots", self.pictures):
                _prepare(self.pictures)

    @contextmanager
    def written_too(self, document: dict[str, Any], drawn: Path | None = None) -> Iterator[None]:
        """Writes the document, and copies the pictures that were drawn into a directory, when the context ends: what
        was judged is shown whatever becomes of the files, and written although nobody may read what is shown.

        Raises CommandFailed naming the option whose files cannot be written.
        """
        try:
            yield
        finally:
            self._write(document, drawn)

    def _write(self, document: dict[str, Any], drawn: Path | None) -> None:
        if self.document is not None:
            with _named("--output", self.document):
                self.document.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        if self.pictures is not None and drawn is not None:
            with _named("--plots", self.pictures):
                shutil.copytree(drawn, self.pictures, dirs_exist_ok=True)


def _prepare(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    # Whether a file can be written is known when one was: rights do not tell, of /proc for example.
    with tempfile.TemporaryFile(dir=directory):
        pass


@contextmanager
def _named(option: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CommandFailed(f"{option} {path}: {error.strerror or error}") from error
