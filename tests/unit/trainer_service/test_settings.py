"""Settings that make no sense are refused at the start."""

import pytest
from pydantic import ValidationError

from services.trainer.settings import TrainerSettings


def test_the_trainer_listens_on_loopback_by_default():
    assert TrainerSettings().grpc_address == "127.0.0.1:50054"


@pytest.mark.parametrize(
    "wrong",
    [
        {"domain": "cars"},
        {"train_max_minutes": 0},
        {"train_hold_out_share": 1.0},
        {"train_threads": 0},
        {"train_encoder": "perceptron"},
        {"train_preset": "tiny"},
        {"train_loss": "hinge"},
        {"train_trim_share": 1.0},
        {"train_device": "tpu"},
        {"train_checkpoint_seconds": -1},
        {"history_length": 0},
        {"bundle_store": ""},
        {"delta_seconds": -1},
        {"delta_users": 999},
        {"text_embeddings": "oracle"},
        {"train_seed": 1 << 63},
        {"train_full_every": 1 << 63},
        {"train_hold_out_rows": 1 << 63},
        {"train_min_judged_users": 1 << 63},
        {"rollback_min_judged_users": 1 << 63},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_setting_without_meaning_is_refused(wrong):
    with pytest.raises(ValidationError):
        TrainerSettings(**wrong)
