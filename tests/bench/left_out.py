"""How well items that nobody has touched find their place: `python -m tests.bench.left_out DATA [--bundle FILE]`.

Items are left out of a table of vectors, ten times a fifth of them, and get rows by their content alone: without and
with vectors of their texts. Told is which share of an item's true nearest neighbours in the table its row finds, by
cosine, and the mean cosine to the true vector. The table is that of a bundle, or of the singular vectors of what the
same users touched (positive pointwise mutual information, Levy & Goldberg 2014).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import sparse

from services.console.datasets.dataset import Dataset, read_dataset
from services.trainer.model.fitting.initialisation import positive_pmi, truncated_svd
from services.trainer.text_embedding import TextEmbedding
from shared.adapters.codecs.bundle import unpack
from shared.adapters.codecs.keys import item_key
from shared.domain.content.content_tags import content_tags, content_text
from shared.domain.content.new_items import NewItems

NEIGHBOURS = 10
DRAWS, SHARE = 10, 0.2
DIMENSION = 64


class Table(NamedTuple):
    """Of N items their categories, titles, and vectors (N, D) float32."""

    categories: Sequence[Sequence[str]]
    titles: Sequence[str]
    vectors: np.ndarray


class Found(NamedTuple):
    """neighbours: the mean share found of the nearest ones; cosine: the mean one to the true vectors."""

    neighbours: float
    cosine: float


def found(table: Table, left_out: np.ndarray, embedding: TextEmbedding | None) -> Found:
    """By the rows of those items that are left out, (N,) bool; with their texts when there is an embedding."""
    made, true, others = rows(table, left_out, embedding), table.vectors[left_out], table.vectors[~left_out]
    pairs = zip(_nearest(made, others), _nearest(true, others), strict=True)
    shares = [len(set(a) & set(b)) / NEIGHBOURS for a, b in pairs]
    lengths = np.linalg.norm(made, axis=1) * np.linalg.norm(true, axis=1)
    return Found(
        float(np.mean(shares)), float(np.mean((made * true).sum(axis=1) / np.maximum(lengths, 1e-9)))
    )


def _nearest(vectors: np.ndarray, table: np.ndarray) -> np.ndarray:
    lengths = np.maximum(np.linalg.norm(table, axis=1), 1e-9)
    return np.argsort(-(vectors @ table.T) / lengths, axis=1, kind="stable")[:, :NEIGHBOURS]


def rows(table: Table, left_out: np.ndarray, embedding: TextEmbedding | None) -> np.ndarray:
    """Of the items that are left out; the mean of the others where nothing is known of one."""
    kept, new = np.flatnonzero(~left_out), np.flatnonzero(left_out)
    known = NewItems(kept.astype(np.uint64), table.vectors[kept], np.zeros(len(kept), np.float32))
    _describe(known, table, np.concatenate([kept, new]), embedding)
    if known.texts_due:
        known.use_texts(known.learn_texts())
    keys, made, _ = known.take(len(new))
    told, mean = dict(zip(keys.tolist(), made, strict=True)), table.vectors[kept].mean(axis=0)
    return np.array([told.get(item, mean) for item in new.tolist()])


def _describe(known: NewItems, table: Table, items: np.ndarray, embedding: TextEmbedding | None) -> None:
    said = [(table.categories[item], "", table.titles[item]) for item in items]
    texts = embedding.vectors([content_text(*each) for each in said]) if embedding else [None] * len(items)
    for item, each, text in zip(items.tolist(), said, texts, strict=True):
        known.describe(item, content_tags(*each), text)


def _by_users(data: Dataset) -> dict[str, np.ndarray]:
    """A vector for each item that someone has touched."""
    users = {user: row for row, user in enumerate(dict.fromkeys(row.user for row in data.interactions))}
    items = {item: row for row, item in enumerate(dict.fromkeys(row.item for row in data.interactions))}
    touched = np.zeros((len(users), len(items)))
    for row in data.interactions:
        touched[users[row.user], items[row.item]] = 1.0
    together = sparse.csr_matrix(touched.T @ touched * (1.0 - np.eye(len(items))))
    company = positive_pmi(together, smoothing=1.0)
    vectors = truncated_svd(company, DIMENSION, np.random.default_rng(0))
    return dict(zip(items, vectors.astype(np.float32), strict=True))


def _by_bundle(data: Dataset, file: Path) -> dict[str, np.ndarray]:
    bundle = unpack(file.read_bytes())
    vectors = dict(zip(bundle.item_keys.tolist(), bundle.item_vectors, strict=True))
    keys = {item.item: item_key(item.item) for item in data.items}
    return {item: vectors[key] for item, key in keys.items() if key in vectors}


def _table(data: Dataset, vectors: dict[str, np.ndarray], with_categories: bool) -> Table:
    items = [item for item in data.items if item.item in vectors]
    categories = [item.genres if with_categories else () for item in items]
    return Table(categories, [item.title for item in items], np.stack([vectors[item.item] for item in items]))


def _report(name: str, table: Table, embedding: TextEmbedding) -> None:
    """One line: the means over draws, and the standard error of the difference."""
    size = len(table.titles)
    drawn = [np.random.default_rng(draw).permutation(size) < SHARE * size for draw in range(DRAWS)]
    without = np.array([found(table, left_out, None) for left_out in drawn])
    with_texts = np.array([found(table, left_out, embedding) for left_out in drawn])
    error = (with_texts - without).std(axis=0, ddof=1) / np.sqrt(DRAWS)
    for at, measure in enumerate(Found._fields):
        before, after = without[:, at].mean(), with_texts[:, at].mean()
        gain = f"{after - before:+.4f} ± {error[at]:.4f}"
        print(f"{name:18} {measure:10} without texts {before:.4f}, with {after:.4f} ({gain})")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        "python -m tests.bench.left_out", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("data", type=Path, help="directory with interactions.tsv and items.tsv")
    parser.add_argument("--bundle", type=Path, help="a trained model, whose table is asked")
    asked = parser.parse_args()
    data, embedding = read_dataset(asked.data), TextEmbedding()
    vectors = _by_bundle(data, asked.bundle) if asked.bundle else _by_users(data)
    for name, with_categories in (("titles, categories", True), ("titles alone", False)):
        _report(name, _table(data, vectors, with_categories), embedding)


if __name__ == "__main__":
    main()
