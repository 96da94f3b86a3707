"""The Transformer's own: any number of blocks serves what it was trained as."""

from dataclasses import replace

import pytest
import torch

from services.trainer.model.encoders.signature import ServingEncoder
from services.trainer.model.encoders.transformer import TransformerConfig
from tests.unit.trainer.builders import TINY, random_encoder
from tests.unit.trainer.test_encoders import inputs


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("padding", [0, 3, 7])
def test_the_last_block_serves_one_position_as_it_was_trained(blocks, padding):
    encoder, batch = random_encoder(replace(TINY, blocks=blocks)), inputs(padding=padding)
    torch.testing.assert_close(ServingEncoder(encoder)(*batch), encoder(*batch)[:, -1], atol=1e-5, rtol=0)


def test_width_must_be_a_multiple_of_heads():
    with pytest.raises(ValueError, match="multiple"):
        TransformerConfig(d_model=10, heads=4)
