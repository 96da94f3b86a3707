"""A run learns where it is told to, as precisely as that allows; on a CPU in float32."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from services.trainer.model.encoders.names import KINDS
from services.trainer.model.encoders.registry import config_of
from services.trainer.model.fitting.device import Device, DeviceMissing, device_of
from services.trainer.model.fitting.objective import Examples, ItemTable, Objective
from services.trainer.model.fitting.plan import TrainingPlan
from services.trainer.model.fitting.training import train
from tests.unit.trainer.builders import PLAN, walks

CPU = torch.device("cpu")
NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
BRIEF = replace(PLAN, epochs=8, learning_rate=5e-3)
LOSSES = {
    "exact": {},
    "sampled": {"exact_up_to": 1, "n_negatives": 16},
    "gbce": {"loss": "gbce", "n_negatives": 16},
}


@NO_GPU
def test_without_a_gpu_learning_is_done_on_the_cpu_in_float32():
    assert device_of("auto") == device_of("cpu") == Device(CPU, mixed=False)


@NO_GPU
def test_a_gpu_that_is_not_there_is_told_of():
    with pytest.raises(DeviceMissing, match="choose cpu or auto"):
        train(walks(), replace(PLAN, device="cuda"))


def test_each_process_of_a_machine_takes_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    found = []
    for rank in "012":
        monkeypatch.setenv("LOCAL_RANK", rank)
        found.append(device_of("auto"))
    assert [device.at.index for device in found] == [0, 1, 0]
    assert all(device.mixed for device in found)


def test_a_device_without_a_name_of_ours_is_refused():
    with pytest.raises(ValueError, match="there is no device 'tpu'"):
        TrainingPlan(device="tpu")


def test_random_state_comes_back():
    device = Device(CPU, mixed=False)
    state = device.random_state()
    drawn = torch.rand(3)
    device.set_random_state(state)
    assert torch.equal(torch.rand(3), drawn)


# oneDNN has no bfloat16 LSTM for every CPU; a GPU's comes from cuDNN.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "lstm"])
def test_mixed_precision_comes_near_the_loss_of_float32(kind):
    plan = replace(BRIEF, encoder=replace(config_of(kind, "small"), d_model=16, dropout=0.0))
    exact, mixed = (train(walks(), replace(plan, mixed_precision=mixed)) for mixed in (False, True))
    assert mixed.curve[-1].loss == pytest.approx(exact.curve[-1].loss, rel=0.03)
    assert mixed.curve[-1].loss < mixed.curve[0].loss
    assert not np.array_equal(mixed.item_vectors, exact.item_vectors)


@pytest.mark.parametrize("loss", LOSSES)
def test_mixed_precision_comes_near_every_loss(loss):
    plan = replace(BRIEF, encoder=replace(PLAN.encoder, dropout=0.0), **LOSSES[loss])
    exact, mixed = (train(walks(), replace(plan, mixed_precision=mixed)) for mixed in (False, True))
    assert mixed.curve[-1].loss == pytest.approx(exact.curve[-1].loss, rel=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_an_encoder_makes_no_tensor_on_another_device_than_its_own(kind):
    encoder = config_of(kind, "small").build().to("meta")
    vectors, ages = torch.empty(2, 5, 64, device="meta"), torch.empty(2, 5, device="meta")
    mask = torch.empty(2, 5, dtype=torch.bool, device="meta")
    found = encoder(vectors, torch.empty(2, 5, dtype=torch.int64, device="meta"), ages, mask)
    assert (found.device.type, found.shape) == ("meta", (2, 5, 64))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_makes_no_tensor_on_another_device_than_the_tables(loss):
    plan = replace(PLAN, **LOSSES[loss])
    calibration = plan.gbce_calibration if plan.loss == "gbce" else None
    objective = Objective(np.ones(20), plan.exact_up_to, plan.n_negatives, 0, calibration)
    table = ItemTable(np.zeros((20, 8)), np.zeros(20)).to("meta")
    users, target, weight = torch.empty(6, 8), torch.zeros(6, dtype=torch.int64), torch.ones(6)
    examples = Examples(users.to("meta"), target.to("meta"), weight.to("meta"))
    assert objective(examples, table).device.type == "meta"
