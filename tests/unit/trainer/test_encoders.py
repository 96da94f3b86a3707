"""What every encoder promises: causal, blind to padding, the same in onnxruntime, and able to learn."""

from dataclasses import replace
from functools import cache

import numpy as np
import onnxruntime
import pytest
import torch

from services.trainer.model.answering.evaluation import judge, leave_one_out
from services.trainer.model.answering.scoring import ModelScorer
from services.trainer.model.encoders.names import KINDS, PRESET_NAMES
from services.trainer.model.encoders.registry import PRESETS, UnknownEncoderError, config_of, encoder_of
from services.trainer.model.encoders.signature import ServingEncoder
from services.trainer.model.export.encoder_graph import INPUT_NAMES, onnx_bytes
from services.trainer.model.export.graph_scorer import GraphScorer
from services.trainer.model.export.int8 import LARGEST_LOSS, int8_bytes
from services.trainer.model.fitting.plan import TrainingPlan
from services.trainer.model.fitting.training import TrainedModel, continue_training, train
from services.trainer.model.mixing.baselines import most_popular
from tests.unit.trainer.builders import PLAN, random_encoder, random_model, walks

WIDTH = 8
SPLIT = leave_one_out(walks(n_users=60))
every_kind = pytest.mark.parametrize("kind", KINDS)


def inputs(batch: int = 3, length: int = 7, padding: int = 0):
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(batch, length, WIDTH, generator=generator)
    types = torch.randint(1, 22, (batch, length), generator=generator)
    ages = torch.rand(batch, length, generator=generator).sort(dim=1, descending=True).values * 1e6
    mask = (torch.arange(length) >= padding).expand(batch, length)
    return vectors, types, ages, mask


def small(kind: str):
    return random_encoder(config_of(kind, "small", WIDTH))


def assert_close(found, expected, difference: float = 1e-5):
    torch.testing.assert_close(found, expected, atol=difference, rtol=0)


@every_kind
def test_a_position_sees_nothing_later(kind):
    encoder, (vectors, types, ages, mask) = small(kind), inputs()
    before = encoder(vectors, types, ages, mask)[:, :4]
    vectors[:, 4:], types[:, 4:], ages[:, 4:] = 9.0, 1, 0.0
    assert_close(encoder(vectors, types, ages, mask)[:, :4], before)


@every_kind
def test_a_position_sees_its_own_event_and_those_before(kind):
    encoder, (vectors, types, ages, mask) = small(kind), inputs()
    before = encoder(vectors, types, ages, mask)
    for changed in (2, 3):
        other = vectors.clone()
        other[:, changed] *= -1.0
        assert not torch.allclose(encoder(other, types, ages, mask)[:, 3], before[:, 3], atol=1e-4)


@every_kind
@pytest.mark.parametrize("padding", [0, 3, 6, 7])
def test_serving_computes_the_last_position_of_training(kind, padding):
    encoder, batch = small(kind), inputs(padding=padding)
    assert_close(ServingEncoder(encoder)(*batch), encoder(*batch)[:, -1])


@every_kind
def test_padding_changes_nothing(kind):
    encoder, batch = small(kind), inputs()
    blank = (torch.zeros_like(column[:, :1]).repeat_interleave(9, 1) for column in batch)
    longer = tuple(torch.cat(pair, dim=1) for pair in zip(blank, batch, strict=True))
    assert_close(encoder(*longer)[:, 9:], encoder(*batch))


@every_kind
def test_a_row_does_not_depend_on_its_batch(kind):
    encoder, batch = small(kind), inputs()
    alone = encoder.last(*(column[1:2] for column in batch))
    assert_close(alone, encoder.last(*batch)[1:2])


@every_kind
def test_what_stands_under_the_mask_is_not_read(kind):
    encoder, (vectors, types, ages, mask) = small(kind), inputs(padding=3)
    garbage = torch.where(mask.unsqueeze(-1), vectors, torch.nan)
    other = torch.where(mask, types, 9), torch.where(mask, ages, 5e5)
    assert_close(encoder(garbage, *other, mask), encoder(vectors, types, ages, mask))


@every_kind
def test_an_empty_history_gives_the_newcomers_vector(kind):
    encoder = small(kind)
    assert_close(encoder.last(*inputs(padding=7)), encoder.newcomer.expand(3, -1))


@every_kind
def test_a_constant_added_to_all_ages_changes_nothing(kind):
    encoder, (vectors, types, ages, mask) = small(kind), inputs()
    later = encoder.last(vectors, types, ages + 2.0**20, mask)
    assert_close(later, encoder.last(vectors, types, ages, mask), 2e-3)


@every_kind
def test_the_time_between_events_matters(kind):
    encoder, (vectors, types, ages, mask) = small(kind), inputs()
    slower = encoder.last(vectors, types, ages * 50, mask)
    assert not torch.allclose(slower, encoder.last(vectors, types, ages, mask), atol=1e-4)


@every_kind
def test_the_type_of_an_event_matters(kind):
    encoder, (vectors, types, ages, mask) = small(kind), inputs()
    other = encoder.last(vectors, types % 21 + 1, ages, mask)
    assert not torch.allclose(other, encoder.last(vectors, types, ages, mask), atol=1e-4)


@every_kind
def test_unknown_event_types_are_read_as_the_last_code(kind):
    encoder, (vectors, types, ages, mask) = small(kind), inputs()
    unknown = encoder.last(vectors, types * 0 + 1000, ages, mask)
    assert_close(unknown, encoder.last(vectors, types * 0 + 31, ages, mask))


@every_kind
def test_onnxruntime_agrees_with_torch_in_every_shape(kind):
    encoder = small(kind)
    session = onnxruntime.InferenceSession(onnx_bytes(encoder))
    for batch, length, padding in ((1, 1, 0), (1, 1, 1), (2, 3, 1), (5, 50, 0), (3, 80, 77)):
        columns = inputs(batch, length, padding)
        named = {name: column.numpy() for name, column in zip(INPUT_NAMES, columns, strict=True)}
        (found,) = session.run(None, named)
        assert_close(torch.from_numpy(found), encoder(*columns)[:, -1].detach(), 1e-4)


@every_kind
def test_onnxruntime_agrees_with_torch_on_items_of_which_nothing_is_known(kind):
    encoder, (vectors, types, ages, mask) = small(kind), inputs()
    blank = (torch.zeros_like(vectors), types, ages, mask)
    session = onnxruntime.InferenceSession(onnx_bytes(encoder))
    (found,) = session.run(
        None, {name: column.numpy() for name, column in zip(INPUT_NAMES, blank, strict=True)}
    )
    assert_close(torch.from_numpy(found), encoder.last(*blank).detach(), 1e-4)


@cache
def learned(kind: str) -> TrainedModel:
    plan = replace(PLAN, encoder=config_of(kind, "small", 16), epochs=15, learning_rate=5e-3)
    return train(SPLIT.train, plan)


@every_kind
def test_every_encoder_beats_popularity_where_order_tells_the_next_item(kind):
    scorers = {"model": ModelScorer(learned(kind)), "popular": most_popular(SPLIT.train)}
    found = judge(SPLIT.cases, scorers, k=3)
    assert found["model"].ndcg > 2 * found["popular"].ndcg


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "mf"])
def test_a_trained_encoder_loses_at_most_a_hundredth_of_its_ndcg_in_int8(kind):
    model = learned(kind)
    quantised = GraphScorer(int8_bytes(onnx_bytes(model.encoder)), model)
    found = judge(SPLIT.cases, {"float32": ModelScorer(model), "int8": quantised})
    assert found["int8"].ndcg >= (1 - LARGEST_LOSS) * found["float32"].ndcg


@every_kind
def test_every_gradient_of_an_untrained_encoder_is_finite(kind):
    encoder, (vectors, types, ages, mask) = encoder_of(kind, "small", WIDTH), inputs(padding=3)
    encoder(vectors, types, ages, mask).square().sum().backward()
    gradients = [p.grad for p in encoder.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@every_kind
def test_larger_presets_have_more_weights(kind):
    assert tuple(PRESETS[kind]) == PRESET_NAMES
    sizes = [sum(p.numel() for p in encoder_of(kind, preset).parameters()) for preset in PRESET_NAMES]
    assert sizes == sorted(set(sizes))


@every_kind
def test_a_kind_is_called_by_its_name(kind):
    assert {config.kind for config in PRESETS[kind].values()} == {kind}


def test_every_name_names_an_encoder():
    assert tuple(PRESETS) == KINDS


@pytest.mark.parametrize(("kind", "preset"), [("perceptron", "small"), ("gru", "tiny")])
def test_unknown_names_are_answered_with_those_there_are(kind, preset):
    with pytest.raises(UnknownEncoderError, match=r"transformer, hstu|small, base, large"):
        config_of(kind, preset)


def test_the_width_can_be_chosen():
    assert encoder_of("gru", "base", 24).newcomer.shape == (24,)


def test_an_encoder_learns_at_its_own_rate_unless_told():
    plan = TrainingPlan(encoder=config_of("mf"))
    assert plan.peak_rate == config_of("mf").learning_rate
    assert replace(plan, learning_rate=0.5).peak_rate == 0.5


def test_continuing_from_another_kind_starts_anew():
    plan = replace(PLAN, encoder=config_of("mf", "small", WIDTH))
    continued, anew = continue_training(random_model(), walks(), plan), train(walks(), plan)
    assert continued.encoder.config == plan.encoder
    assert np.array_equal(continued.item_vectors, anew.item_vectors)
