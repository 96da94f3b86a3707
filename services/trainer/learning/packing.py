"""A trained model as a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from services.trainer.model.behaviours.export import export_head
from services.trainer.model.behaviours.lesson import Foretelling
from services.trainer.model.export.encoder_graph import Parity, export_encoder
from services.trainer.model.export.int8 import PREFIX, Int8, int8_of, is_faster, loses_little, speed_up
from services.trainer.model.fitting.training import TrainedModel
from services.trainer.model.mixing.mixture import MixedModel
from services.trainer.processes.reports import Job
from services.trainer.revision import code_revision
from shared.adapters.codecs.bundle import ENCODER, INT8_OUTPUT, INT8_TOLERANCE, Bundle, pack
from shared.domain.models.manifest import ENCODER_OUTPUT, Manifest, Tensor
from shared.domain.presets.behaviours import RANKER_OUTPUT

CANDIDATE = "candidate.bundle"


class Packed(NamedTuple):
    """digest: of the bundle; file: where it lies; measured: what depends on the moment, and is not in the bundle."""

    digest: str
    file: Path
    measured: dict[str, float]


class About(NamedTuple):
    """What a bundle says of its model beside the job's own facts.

    metrics: what was judged. log_from: the first position learned from. continued_from: version of the model that
    training went on from; empty for none. documents: the model card and its picture, by the names of its files.
    foretelling: the head that goes with the model, if there is one.
    """

    metrics: Mapping[str, float]
    log_from: int
    continued_from: str
    documents: Mapping[str, bytes]
    foretelling: Foretelling = Foretelling()


def pack_model(mixed: MixedModel, about: About, job: Job) -> Packed:
    """Export, prove parity, pack, and write the bundle into the job's directory. The int8 encoder goes with it when
    its kind is quicker so and it was judged to lose little.

    Raises ExportError; ParityError when onnxruntime computes other vectors than torch.
    """
    directory, model = Path(job.directory), mixed.model
    parity = export_encoder(model, directory / ENCODER)
    encoder = (directory / ENCODER).read_bytes()
    carried = is_faster(model.encoder.config) and loses_little(about.metrics)
    int8 = int8_of(encoder, parity) if carried else None
    about = about._replace(metrics={**about.metrics, **_differences(parity, int8)})
    bundle = Bundle(
        manifest=_manifest(mixed, about, job),
        encoder=encoder,
        item_keys=model.item_keys,
        item_vectors=model.item_vectors,
        item_biases=model.item_biases,
        golden=_golden(parity, int8),
        experts=mixed.experts,
        weights=weights_of(model),
        documents=about.documents,
        int8_encoder=int8.graph if int8 else b"",
    )
    bundle = _with_ranker(bundle, about.foretelling, mixed)
    content, packed = pack(bundle)
    file = directory / CANDIDATE
    file.write_bytes(content)
    measured = {f"{PREFIX}speed_up": speed_up(encoder, int8.graph, parity.golden_inputs)} if int8 else {}
    return Packed(packed.digest, file, measured)


def weights_of(model: TrainedModel) -> dict[str, np.ndarray]:
    """The encoder's weights by name, for training to go on from."""
    return {name: value.numpy() for name, value in model.encoder.state_dict().items()}


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


def _differences(parity: Parity, int8: Int8 | None) -> dict[str, float]:
    """Largest differences from torch."""
    differences = {"parity": parity.max_abs_difference}
    return {**differences, f"{PREFIX}difference": int8.tolerance} if int8 else differences


def _golden(parity: Parity, int8: Int8 | None) -> dict[str, np.ndarray]:
    golden = {**parity.golden_inputs, ENCODER_OUTPUT: parity.golden_outputs}
    if int8:
        golden |= {INT8_OUTPUT: int8.golden_outputs, INT8_TOLERANCE: np.array([int8.tolerance], np.float32)}
    return golden


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
