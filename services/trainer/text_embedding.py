"""Vectors of texts: equal meaning, near vectors. By WordLlama, which only the extra `text` installs.

Its model, means of trained token vectors of 256 numbers (https://github.com/dleemiller/WordLlama), comes within its
package: nothing is fetched, and it runs without a network.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np

NO_EMBEDDING, WORDLLAMA = "none", "wordllama"
TEXT_EMBEDDINGS = (NO_EMBEDDING, WORDLLAMA)
MOST_CHARACTERS = 200
"""Of a text; the library pads all texts of a batch to the longest, and a kilobyte a token would add up."""
BATCH_TEXTS = 32


class TextEmbeddingMissing(ValueError):
    """What is to make vectors of texts is not installed."""


def check_installed(name: str) -> None:
    """Raises TextEmbeddingMissing, which says what installs it, when this one of `TEXT_EMBEDDINGS` is not there."""
    if name != NO_EMBEDDING and importlib.util.find_spec(name) is None:
        raise TextEmbeddingMissing(
            f"{name} is not installed; run: pip install --constraint requirements.lock '.[trainer,text]'"
        )


class TextEmbedding:
    """Makes vectors of texts; takes some 70 MB of memory. Calls do not change it: threads may share it.

    Raises TextEmbeddingMissing when the library is not there, and FileNotFoundError when it came without its model.
    """

    def __init__(self) -> None:
        check_installed(WORDLLAMA)
        # Here and not above: the extra is optional, and what is not asked for is not loaded.
        import wordllama

        # Told where they are, as it looks for its own tokenizer in a directory of another name, then for a download.
        package = Path(wordllama.__file__).parent
        self._model = wordllama.WordLlama.load(cache_dir=package, disable_download=True)

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Of N texts (N, 256) float32, each of length 1, or 0 for a text without a token. A text's vector depends on
        that text's first `MOST_CHARACTERS` alone."""
        made = self._model.embed([text[:MOST_CHARACTERS] for text in texts], batch_size=BATCH_TEXTS)
        lengths = np.linalg.norm(made, axis=1, keepdims=True)
        return made / np.where(lengths > 0.0, lengths, 1.0)


def text_embedding(name: str) -> TextEmbedding | None:
    """The one of `TEXT_EMBEDDINGS` with this name; loads it, which takes about a second. Raises as it does."""
    return TextEmbedding() if name == WORDLLAMA else None
