"""The Transformer's own: any number of blocks serves what it was trained as, and tastes are folded in."""

from dataclasses import replace

import pytest
import torch

from services.trainer.model.encoders.registry import PRESETS, config_of
from services.trainer.model.encoders.signature import SequenceEncoder, ServingEncoder
from services.trainer.model.encoders.transformer import DEEPER_FROM, TransformerConfig
from tests.unit.trainer.builders import TINY, random_encoder
from tests.unit.trainer.test_encoders import inputs


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("padding", [0, 3, 7])
def test_the_last_block_serves_one_position_as_it_was_trained(blocks, padding):
    encoder, batch = random_encoder(replace(TINY, blocks=blocks)), inputs(padding=padding)
    torch.testing.assert_close(ServingEncoder(encoder)(*batch), encoder(*batch)[:, -1], atol=1e-5, rtol=0)


def test_behind_a_shut_gate_nothing_is_folded_in():
    encoder, batch = random_encoder(), inputs()
    torch.nn.init.constant_(encoder.fold_in_gate.linear.bias, -1e3)
    attention = SequenceEncoder.last(encoder, *batch)
    torch.testing.assert_close(encoder.last(*batch), attention)


def test_what_lets_the_fold_in_through_is_what_attention_says():
    encoder, batch = random_encoder(), inputs()
    added = encoder.last(*batch) - SequenceEncoder.last(encoder, *batch)
    torch.nn.init.zeros_(encoder.fold_in_gate.linear.weight)
    torch.nn.init.zeros_(encoder.fold_in_gate.linear.bias)
    as_it_is = encoder.last(*batch) - SequenceEncoder.last(encoder, *batch)
    share = added / as_it_is
    assert share.min() > 0 and share.max() < 2
    assert share.std() > 0.1


def test_width_must_be_a_multiple_of_heads():
    with pytest.raises(ValueError, match="multiple"):
        TransformerConfig(d_model=10, heads=4)


def test_there_are_no_fewer_blocks_than_none():
    with pytest.raises(ValueError, match="no -1 blocks"):
        TransformerConfig(blocks=-1)


@pytest.mark.parametrize(("n_events", "blocks"), [(0, 1), (DEEPER_FROM - 1, 1), (DEEPER_FROM, 2)])
def test_the_small_one_is_as_deep_as_there_is_data_for(n_events, blocks):
    config = config_of("transformer", "small").suited(n_events)
    assert len(config.build().body.layers) == config.blocks == blocks


@pytest.mark.parametrize("kind", PRESETS)
@pytest.mark.parametrize("preset", ["base", "large"])
def test_larger_ones_keep_their_shape(kind, preset):
    config = config_of(kind, preset)
    assert config.suited(10 * DEEPER_FROM) == config
