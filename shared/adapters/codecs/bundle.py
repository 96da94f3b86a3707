"""A bundle as bytes: a zip of the manifest, the encoder, the item table and golden inputs and outputs.

Its digest is the sha256 of the manifest, which holds the sha256 of every other file. Files are stored uncompressed,
in one order, with one date: the same content gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from shared.domain.models.item_rules import GEOMETRIC, HARMONIC, ItemRules, most_followers
from shared.domain.models.manifest import ENCODER_OUTPUT, Manifest, ManifestError, model_version
from shared.domain.models.mixture import Experts

MANIFEST = "manifest.json"
ENCODER = "user_encoder.onnx"
INT8_ENCODER = "user_encoder.int8.onnx"
ITEM_TABLE = "item_table.npz"
RULES = "rules.npz"
EASE = "ease.npz"
WEIGHTS = "encoder_weights.npz"
RANKER = "ranker.onnx"
RANKER_GOLDEN = "ranker_golden.npz"
GOLDEN = "golden.npz"
CARD, CURVES = "model_card.md", "curves.png"
DOCUMENTS = (CARD, CURVES)
"""For people; what serves ignores them. Older bundles have none."""
INT8_OUTPUT, INT8_TOLERANCE = "user_vector_int8", "user_vector_int8_tolerance"
"""In `golden`: what the int8 encoder gives (B, D) float32, and how far from it another machine may be (1,) float32."""
_DATE = (1980, 1, 1, 0, 0, 0)
_UNREADABLE = (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError, OSError, RuntimeError)
"""What damaged bytes raise: zipfile answers a flipped flag with RuntimeError or NotImplementedError, which is one."""
_ROUNDING = 1e-4
_DTYPES = {"item_keys": np.uint64, "item_vectors": np.float32, "item_biases": np.float32}


class CorruptBundleError(ValueError):
    """The bytes are no intact bundle; the message says what does not fit."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """A model ready to serve.

    item_keys (V,) uint64 ascending; item_vectors (V, D) float32; item_biases (V,) float32; encoder: ONNX bytes;
    golden: a batch of the encoder's inputs by name, and its output. experts: over the items of the table.
    weights: of the encoder by name, to go on training from; empty for none.
    documents: those of `DOCUMENTS` that there are, by name.
    int8_encoder: ONNX bytes of the same encoder in int8, empty when it carries none; its golden output is beside.
    ranker: ONNX bytes; empty for none. ranker_golden: a batch of its inputs by name, and its output.
    """

    manifest: Manifest
    encoder: bytes
    item_keys: np.ndarray
    item_vectors: np.ndarray
    item_biases: np.ndarray
    golden: Mapping[str, np.ndarray]
    digest: str = ""
    experts: Experts = field(default_factory=Experts)
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    documents: Mapping[str, bytes] = field(default_factory=dict)
    int8_encoder: bytes = b""
    ranker: bytes = b""
    ranker_golden: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The model version, from the digest."""
        return model_version(self.digest)

    @property
    def golden_output(self) -> np.ndarray:
        """The output (B, D) float32 that the encoder must give for the golden inputs."""
        return self.golden[ENCODER_OUTPUT]


def pack(bundle: Bundle) -> tuple[bytes, Bundle]:
    """The bundle as bytes, and the bundle with digests filled in."""
    table = {"keys": bundle.item_keys, "vectors": bundle.item_vectors, "biases": bundle.item_biases}
    files = {ENCODER: bundle.encoder, GOLDEN: _npz(bundle.golden), ITEM_TABLE: _npz(table)}
    if bundle.int8_encoder:
        files[INT8_ENCODER] = bundle.int8_encoder
    if bundle.experts.sequence is not None:
        files[RULES] = _npz(bundle.experts.sequence.to_rows())
    if bundle.experts.ease is not None:
        files[EASE] = _npz(bundle.experts.ease.to_rows())
    if bundle.weights:
        files[WEIGHTS] = _npz(bundle.weights)
    files |= {name: bundle.documents[name] for name in DOCUMENTS if name in bundle.documents}
    if bundle.ranker:
        files |= {RANKER: bundle.ranker, RANKER_GOLDEN: _npz(bundle.ranker_golden)}
    manifest = replace(bundle.manifest, files={name: _sha256(content) for name, content in files.items()})
    manifest.check()
    content = manifest.to_json()
    packed = _zip({MANIFEST: content, **files})
    return packed, replace(bundle, manifest=manifest, digest=_sha256(content))


def unpack(packed: bytes) -> Bundle:
    """Parse and check a bundle. Raises CorruptBundleError when a digest, name or shape does not fit."""
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        content = files.pop(MANIFEST)
        manifest = Manifest.from_json(content)
        _check_digests(manifest, files)
        table = _arrays(files[ITEM_TABLE])
        golden = _arrays(files[GOLDEN])
        bundle = Bundle(
            manifest,
            files[ENCODER],
            table["keys"],
            table["vectors"],
            table["biases"],
            golden,
            _sha256(content),
            _experts(manifest, files, len(table["keys"])),
            weights=_arrays(files[WEIGHTS]) if WEIGHTS in manifest.files else {},
            documents={name: files[name] for name in DOCUMENTS if name in manifest.files},
            int8_encoder=files[INT8_ENCODER] if INT8_ENCODER in manifest.files else b"",
            ranker=files[RANKER] if manifest.behaviours else b"",
            ranker_golden=_arrays(files[RANKER_GOLDEN]) if manifest.behaviours else {},
        )
    except CorruptBundleError:
        raise
    except _UNREADABLE as error:
        raise CorruptBundleError(f"not an intact bundle: {error}") from error
    _check_table(bundle)
    return bundle


def _check_digests(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    for name, expected in manifest.files.items():
        if _sha256(files[name]) != expected:
            raise ManifestError(f"{name} has another digest than the manifest says")


def _check_table(bundle: Bundle) -> None:
    items, dimension = bundle.manifest.item_count, bundle.manifest.dimension
    expected = {"item_keys": (items,), "item_vectors": (items, dimension), "item_biases": (items,)}
    for name, shape in expected.items():
        if (actual := getattr(bundle, name).shape) != shape:
            raise CorruptBundleError(f"{name} has shape {actual}, the manifest says {shape}")
        if (dtype := getattr(bundle, name).dtype) != _DTYPES[name]:
            raise CorruptBundleError(f"{name} is {dtype}, not {np.dtype(_DTYPES[name])}")
    if not (
        bundle.item_keys[1:] > bundle.item_keys[:-1]
    ).all():  # a difference of unsigned keys is never negative
        raise CorruptBundleError("item_keys are not ascending and unique")
    if not (np.isfinite(bundle.item_vectors).all() and np.isfinite(bundle.item_biases).all()):
        raise CorruptBundleError("the item table holds numbers that are not finite")


def _experts(manifest: Manifest, files: Mapping[str, bytes], items: int) -> Experts:
    """Those that the bundle holds; whoever is mixed in must be there."""
    if manifest.mixture is None:
        return Experts()
    sequence = _rules(_arrays(files[RULES]), items, HARMONIC)
    _check_shares(sequence)
    if EASE not in manifest.files and manifest.mixture.ease_weight == 0:
        return Experts(sequence)
    return Experts(sequence, _rules(_arrays(files[EASE]), items, GEOMETRIC))


def _rules(rows: Mapping[str, np.ndarray], items: int, recency: np.ndarray) -> ItemRules:
    """Rules from compressed rows, which are checked before anything is made of their size."""
    start, follower, count, total = (rows[name] for name in ("start", "follower", "count", "total"))
    dtypes = (start.dtype, follower.dtype, count.dtype, total.dtype)
    if dtypes != (np.int64, np.int32, np.float32, np.float32) or start.shape != (items + 1,):
        raise CorruptBundleError(f"rules of {start.shape} {dtypes} do not fit {items} items")
    size = np.diff(start)
    if start[0] != 0 or (size < 0).any() or not start[-1] == len(follower) == len(count):
        raise CorruptBundleError("rules do not begin where the ones before them end")
    if size.max(initial=0) > min(items, most_followers(items, items)):
        raise CorruptBundleError(f"rules of {size.max()} followers are too many for {items} items")
    if ((follower < 0) | (follower >= items)).any():
        raise CorruptBundleError("rules name items that are not there")
    if total.shape != (items,) or not (np.isfinite(total).all() and np.isfinite(count).all()):
        raise CorruptBundleError("rules hold numbers that are not finite")
    if not (count > 0).all() or not (total > 0).all():
        raise CorruptBundleError("rules have shares of 0 or less")
    return ItemRules.of_rows(start, follower, count, total, recency)


def _check_shares(rules: ItemRules) -> None:
    owners = np.flatnonzero(rules.used)
    if (rules.count[rules.row[owners]].sum(axis=1) > rules.total[owners] * (1 + _ROUNDING)).any():
        raise CorruptBundleError("rules have shares above 1")


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    files = {}
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
        files[f"{name}.npy"] = buffer.getvalue()
    return _zip(files)


def _arrays(content: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(content), allow_pickle=False) as loaded:
        return {name: loaded[name] for name in loaded.files}


def _zip(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, _DATE), files[name])
    return buffer.getvalue()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
