"""A trained model as a bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from services.trainer.model.behaviours.export import export_head
from services.trainer.model.behaviours.lesson import Foretelling
from services.trainer.model.export import Parity, export_encoder
from services.trainer.model.mixture import MixedModel
from services.trainer.reports import Job
from services.trainer.revision import code_revision
from shared.adapters.bundle import ENCODER, Bundle, pack
from shared.domain.behaviours import RANKER_OUTPUT
from shared.domain.manifest import ENCODER_OUTPUT, Manifest, Tensor

CANDIDATE = "candidate.bundle"


class Packed(NamedTuple):
    """digest: of the bundle; file: where it lies."""

    digest: str
    file: Path


def pack_model(
    mixed: MixedModel, metrics: dict[str, float], log_from: int, job: Job, foretelling: Foretelling
) -> Packed:
    """Export, prove parity, pack, and write the bundle into the job's directory.

    metrics: what was judged, for the manifest. log_from: the first position learned from. foretelling: the head that
    goes with the model, if there is one.
    Raises ExportError; ParityError when onnxruntime computes other vectors than torch.
    """
    directory, model = Path(job.directory), mixed.model
    parity = export_encoder(model, directory / ENCODER)
    bundle = Bundle(
        manifest=_manifest(mixed, {**metrics, "parity": parity.max_abs_difference}, log_from, job),
        encoder=(directory / ENCODER).read_bytes(),
        item_keys=model.item_keys,
        item_vectors=model.item_vectors,
        item_biases=model.item_biases,
        golden=_golden(parity),
        rules=mixed.rules,
    )
    bundle = _with_ranker(bundle, foretelling, mixed)
    content, packed = pack(bundle)
    file = directory / CANDIDATE
    file.write_bytes(content)
    return Packed(packed.digest, file)


def _with_ranker(bundle: Bundle, foretelling: Foretelling, mixed: MixedModel) -> Bundle:
    if foretelling.head is None:
        return bundle
    ranker = export_head(foretelling.head, mixed.model)
    tensors = {**bundle.manifest.tensors, **_ranker_tensors(ranker.golden[RANKER_OUTPUT].shape[2], bundle)}
    manifest = replace(bundle.manifest, behaviours=foretelling.behaviours, tensors=tensors)
    return replace(bundle, manifest=manifest, ranker=ranker.graph, ranker_golden=ranker.golden)


def _ranker_tensors(objectives: int, bundle: Bundle) -> dict[str, Tensor]:
    """Beside `user_vector`, which the encoder gives and the ranker takes."""
    return {
        "item_vectors": Tensor("float32", (-1, -1, bundle.manifest.dimension)),
        "item_bias": Tensor("float32", (-1, -1)),
        "rule_score": Tensor("float32", (-1, -1)),
        RANKER_OUTPUT: Tensor("float32", (-1, -1, objectives)),
    }


def _golden(parity: Parity) -> dict:
    return {**parity.golden_inputs, ENCODER_OUTPUT: parity.golden_outputs}


def _manifest(mixed: MixedModel, metrics: dict[str, float], log_from: int, job: Job) -> Manifest:
    items, width = mixed.model.item_vectors.shape
    return Manifest(
        encoder=mixed.model.encoder.config.kind,
        dimension=width,
        item_count=items,
        history_length=job.history_length,
        log_from=log_from,
        log_to=job.to_position,
        seed=job.seed,
        code_revision=code_revision(job.code_revision),
        domain=job.domain,
        tensors=_tensors(width),
        mixture=mixed.mixture,
        metrics=metrics,
    )


def _tensors(width: int) -> dict[str, Tensor]:
    return {
        "history_vectors": Tensor("float32", (-1, -1, width)),
        "event_type": Tensor("int64", (-1, -1)),
        "age_seconds": Tensor("float32", (-1, -1)),
        "mask": Tensor("bool", (-1, -1)),
        ENCODER_OUTPUT: Tensor("float32", (-1, width)),
    }
