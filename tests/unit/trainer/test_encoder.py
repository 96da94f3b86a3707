"""What serving relies on: the encoder is causal, padding-blind, and knows only differences of age."""

from dataclasses import replace

import pytest
import torch

from services.trainer.model.encoders.signature import ServingEncoder
from services.trainer.model.encoders.transformer import TransformerConfig
from tests.unit.trainer.builders import TINY, random_encoder


def inputs(batch: int = 3, length: int = 7, padding: int = 0):
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(batch, length, TINY.d_model, generator=generator)
    kinds = torch.randint(1, 22, (batch, length), generator=generator)
    ages = torch.rand(batch, length, generator=generator).sort(dim=1, descending=True).values * 1e6
    mask = (torch.arange(length) >= padding).expand(batch, length)
    return vectors, kinds, ages, mask


def padded(columns, by: int):
    empty = (torch.zeros_like(column[:, :1]).repeat_interleave(by, 1) for column in columns)
    return tuple(torch.cat(pair, dim=1) for pair in zip(empty, columns, strict=True))


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("padding", [0, 3, 7])
def test_serving_computes_the_last_position_of_training(blocks, padding):
    encoder, batch = random_encoder(replace(TINY, blocks=blocks)), inputs(padding=padding)
    torch.testing.assert_close(ServingEncoder(encoder)(*batch), encoder(*batch)[:, -1], atol=1e-5, rtol=0)


def test_padding_changes_nothing():
    encoder, batch = random_encoder(), inputs()
    torch.testing.assert_close(encoder.last(*padded(batch, 9)), encoder.last(*batch), atol=1e-5, rtol=0)


def test_a_row_does_not_depend_on_its_batch():
    encoder, batch = random_encoder(), inputs()
    alone = encoder.last(*(column[1:2] for column in batch))
    torch.testing.assert_close(alone, encoder.last(*batch)[1:2], atol=1e-5, rtol=0)


def test_what_stands_under_the_mask_is_not_read():
    encoder, (vectors, kinds, ages, mask) = random_encoder(), inputs(padding=3)
    garbage = torch.where(mask.unsqueeze(-1), vectors, torch.nan)
    other = torch.where(mask, kinds, 9), torch.where(mask, ages, 0.0)
    torch.testing.assert_close(encoder.last(garbage, *other, mask), encoder.last(vectors, kinds, ages, mask))


def test_a_position_sees_nothing_later():
    encoder, batch = random_encoder(), inputs()
    shorter = tuple(column[:, :4] for column in batch)
    torch.testing.assert_close(encoder(*shorter), encoder(*batch)[:, :4], atol=1e-5, rtol=0)


def test_only_differences_of_age_matter():
    encoder, (vectors, kinds, ages, mask) = random_encoder(), inputs()
    later = encoder.last(vectors, kinds, ages + 2.0**20, mask)
    torch.testing.assert_close(later, encoder.last(vectors, kinds, ages, mask), atol=1e-3, rtol=0)


def test_differences_of_age_do_matter():
    encoder, (vectors, kinds, ages, mask) = random_encoder(), inputs()
    slower = encoder.last(vectors, kinds, ages * 50, mask)
    assert not torch.allclose(slower, encoder.last(vectors, kinds, ages, mask))


def test_an_empty_history_gives_the_newcomers_vector():
    encoder = random_encoder()
    users = encoder.last(*inputs(padding=7))
    torch.testing.assert_close(users, encoder.newcomer.expand_as(users))


def test_unknown_event_types_are_read_as_the_last_code():
    encoder, (vectors, kinds, ages, mask) = random_encoder(), inputs()
    unknown = encoder.last(vectors, kinds * 0 + 1000, ages, mask)
    torch.testing.assert_close(unknown, encoder.last(vectors, kinds * 0 + 31, ages, mask))


def test_width_must_be_a_multiple_of_heads():
    with pytest.raises(ValueError, match="multiple"):
        TransformerConfig(d_model=10, heads=4)
