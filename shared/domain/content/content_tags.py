"""What the catalogue says of an item, as tags: equal tags mean that items have something in common. Pure.

A title's words are hashed into a fixed number of tags (feature hashing, Weinberger et al. 2009; without signs: they
serve inner products, not means), so that what is kept of titles does not grow with the language. Decision: whole words,
and pairs of characters only where a script has no spaces, as Lucene's CJKBigramFilter does: with 3-grams of characters
beside the words, neighbours of items nobody has touched came out worse.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterable

TITLE_TAGS = 1 << 14
MOST_TOKENS = 32
"""Of one title."""
_WORD = re.compile(r"\w+")
# Thai to Lao, Myanmar, Khmer, kana, ideographs.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


def content_tags(categories: Iterable[str], brand: str, title: str) -> list[str]:
    """The tags of an item, each once; an empty brand or title has none."""
    tags = [f"category {each}" for each in categories]
    tags += [f"brand {brand}"] if brand else []
    tags += [f"title {zlib.crc32(token.encode()) % TITLE_TAGS}" for token in title_tokens(title)]
    return list(dict.fromkeys(tags))


def content_text(categories: Iterable[str], brand: str, title: str) -> str:
    """All that an item's tags are made of as one text, in lower case and one form of Unicode (NFKC); empty when there
    is nothing.

    Decision: the categories and the brand, too. By neighbours of items that were left out, texts with the categories
    did better than titles alone, also beside tags that name the same categories.
    """
    said = " ".join(part for part in (title, brand, *categories) if part)
    return unicodedata.normalize("NFKC", said).casefold().strip()


def title_tokens(title: str) -> list[str]:
    """The first words of a title, in lower case and one form of Unicode (NFKC), each once; pairs of characters for
    words of scripts without spaces."""
    words = _WORD.findall(unicodedata.normalize("NFKC", title).casefold())
    tokens = dict.fromkeys(token for word in words for token in _tokens_of(word))
    return list(tokens)[:MOST_TOKENS]


def _tokens_of(word: str) -> list[str]:
    if not _UNSPACED.search(word) or len(word) < 3:
        return [word]
    return [word[at : at + 2] for at in range(len(word) - 1)]
