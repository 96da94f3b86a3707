"""A trained model as a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from services.trainer.model.export import Parity, export_encoder
from services.trainer.model.mixture import MixedModel
from services.trainer.model.training import TrainedModel
from services.trainer.reports import Job
from services.trainer.revision import code_revision
from shared.adapters.bundle import ENCODER, Bundle, pack
from shared.domain.manifest import ENCODER_OUTPUT, Manifest, Tensor

CANDIDATE = "candidate.bundle"


class Packed(NamedTuple):
    """digest: of the bundle; file: where it lies."""

    digest: str
    file: Path


class About(NamedTuple):
    """What a bundle says of its model beside the job's own facts.

    metrics: what was judged. log_from: the first position learned from. continued_from: version of the model that
    training went on from; empty for none. documents: the model card and its picture, by the names of its files.
    """

    metrics: Mapping[str, float]
    log_from: int
    continued_from: str
    documents: Mapping[str, bytes]


def pack_model(mixed: MixedModel, about: About, job: Job) -> Packed:
    """Export, prove parity, pack, and write the bundle into the job's directory.

    Raises ExportError; ParityError when onnxruntime computes other vectors than torch.
    """
    directory, model = Path(job.directory), mixed.model
    parity = export_encoder(model, directory / ENCODER)
    about = about._replace(metrics={**about.metrics, "parity": parity.max_abs_difference})
    bundle = Bundle(
        manifest=_manifest(mixed, about, job),
        encoder=(directory / ENCODER).read_bytes(),
        item_keys=model.item_keys,
        item_vectors=model.item_vectors,
        item_biases=model.item_biases,
        golden=_golden(parity),
        rules=mixed.rules,
        weights=weights_of(model),
        documents=about.documents,
    )
    content, packed = pack(bundle)
    file = directory / CANDIDATE
    file.write_bytes(content)
    return Packed(packed.digest, file)


def weights_of(model: TrainedModel) -> dict[str, np.ndarray]:
    """The encoder's weights by name, for training to go on from."""
    return {name: value.numpy() for name, value in model.encoder.state_dict().items()}


def _golden(parity: Parity) -> dict:
    return {**parity.golden_inputs, ENCODER_OUTPUT: parity.golden_outputs}


def _manifest(mixed: MixedModel, about: About, job: Job) -> Manifest:
    items, width = mixed.model.item_vectors.shape
    return Manifest(
        encoder=mixed.model.encoder.config.kind,
        dimension=width,
        item_count=items,
        history_length=job.history_length,
        log_from=about.log_from,
        log_to=job.to_position,
        seed=job.seed,
        code_revision=code_revision(job.code_revision),
        domain=job.domain,
        tensors=_tensors(width),
        mixture=mixed.mixture,
        continued_from=about.continued_from,
        metrics=about.metrics,
    )


def _tensors(width: int) -> dict[str, Tensor]:
    return {
        "history_vectors": Tensor("float32", (-1, -1, width)),
        "event_type": Tensor("int64", (-1, -1)),
        "age_seconds": Tensor("float32", (-1, -1)),
        "mask": Tensor("bool", (-1, -1)),
        ENCODER_OUTPUT: Tensor("float32", (-1, width)),
    }
