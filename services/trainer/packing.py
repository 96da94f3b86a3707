"""A trained model as a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from services.trainer.model.export import Parity, export_encoder
from services.trainer.model.mixture import MixedModel
from services.trainer.reports import Job
from services.trainer.revision import code_revision
from shared.adapters.bundle import DOCUMENTS, ENCODER, Bundle, pack
from shared.domain.manifest import ENCODER_OUTPUT, Manifest, Tensor

CANDIDATE = "candidate.bundle"


class Packed(NamedTuple):
    """digest: of the bundle; file: where it lies."""

    digest: str
    file: Path


def pack_model(mixed: MixedModel, metrics: dict[str, float], log_from: int, job: Job) -> Packed:
    """Export, prove parity, pack, and write the bundle into the job's directory. Of the documents those are packed that
    were written there.

    metrics: what was judged, for the manifest. log_from: the first position learned from.
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
        documents=_documents(directory),
        rules=mixed.rules,
    )
    content, packed = pack(bundle)
    file = directory / CANDIDATE
    file.write_bytes(content)
    return Packed(packed.digest, file)


def _documents(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in DOCUMENTS if (directory / name).exists()}


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
