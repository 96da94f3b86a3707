"""The one signature of all encoders, and what those that read a sequence of vectors share.

Histories are right-aligned: padding stands on the left, T-1 is the most recent event. An encoder reads only the time
between two events, so adding a constant to all ages changes nothing that is not rounded: training, in which every
position asks, agrees with serving, in which only the last one does. But ages are float32, which at 27 years tells
apart 64 s and no less. A replay of decades-old history gives the same vectors only if the age of the newest event is
subtracted before the cast, as `services.ranking.answers.encoding` does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from services.trainer.model.encoders.dropout import Dropout

EVENT_TYPE_CODES = 32
"""Rows of the event-type embedding; higher codes are read as the last one, 0 is padding."""


@dataclass(frozen=True)
class EncoderConfig(ABC):
    """Shape of an encoder; every kind adds its own fields.

    Attributes:
        kind: its name, in settings and manifests.
        d_model: width D of item and user vectors.
        dropout: share of activations dropped in training, in [0, 1).
        learning_rate: peak rate that suits this shape.
    """

    kind: ClassVar[str] = ""
    d_model: int = 64
    dropout: float = 0.2
    learning_rate: float = 1e-3

    def suited(self, n_events: int) -> Self:
        """The shape for so many events to learn, >= 0; this one, where a kind does not say otherwise."""
        return self

    @abstractmethod
    def build(self) -> UserEncoder:
        """A fresh encoder of this shape, its weights drawn from torch's own generator."""


@dataclass(frozen=True)
class SequenceConfig(EncoderConfig):
    """Shape of an encoder that is a `SequenceEncoder` round a body of its kind."""

    def build(self) -> UserEncoder:
        """See `EncoderConfig.build`."""
        return SequenceEncoder(self)

    @abstractmethod
    def body(self) -> Body:
        """What stands between the inputs and the output."""


class Body(nn.Module, ABC):
    """Causal mixing of positions."""

    @abstractmethod
    def forward(self, x: Tensor, age_seconds: Tensor, mask: Tensor) -> Tensor:
        """``(B, T, D) float32`` of ``x (B, T, D) float32``, ``age_seconds (B, T) float32``, ``mask (B, T) bool``.

        Position i reads positions 0..i only, and none that is masked.
        """

    def last(self, x: Tensor, age_seconds: Tensor, mask: Tensor) -> Tensor:
        """``forward(...)[:, -1:]``, ``(B, 1, D) float32``; kinds that can give it for less do."""
        return self(x, age_seconds, mask)[:, -1:]


class UserEncoder(nn.Module, ABC):
    """History to user vector; holds everything but the item table.

    Attributes:
        config: its shape.
        newcomer: ``(D,) float32``, the vector of a user without history.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.newcomer = nn.Parameter(torch.zeros(config.d_model))

    @abstractmethod
    def forward(
        self, history_vectors: Tensor, event_type: Tensor, age_seconds: Tensor, mask: Tensor
    ) -> Tensor:
        """User vector after each event: position i sees events 0..i only.

        Args:
            history_vectors: ``(B, T, D) float32``, item vectors of the history, oldest first.
            event_type: ``(B, T) int64``, codes >= 0.
            age_seconds: ``(B, T) float32``, now minus event time; any constant may be added.
            mask: ``(B, T) bool``, True where an event stands; nothing under False is read.

        Returns:
            ``(B, T, D) float32``; the newcomer's vector where the mask is False.
        """

    @abstractmethod
    def last(self, history_vectors: Tensor, event_type: Tensor, age_seconds: Tensor, mask: Tensor) -> Tensor:
        """``forward(...)[:, -1]``, for less where the kind allows it.

        Returns:
            ``(B, D) float32``; the newcomer's vector for a history of no events.
        """


class SequenceEncoder(UserEncoder):
    """Item vector + event type, normalised; the kind's body; normalised and projected."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
        self.event_type = nn.Embedding(EVENT_TYPE_CODES, config.d_model)
        nn.init.zeros_(self.event_type.weight)
        self.input_norm = nn.LayerNorm(config.d_model)
        self.input_dropout = Dropout(config.dropout)
        self.body = config.body()
        self.output_norm = nn.LayerNorm(config.d_model)
        self.project = nn.Linear(config.d_model, config.d_model)

    def forward(
        self, history_vectors: Tensor, event_type: Tensor, age_seconds: Tensor, mask: Tensor
    ) -> Tensor:
        """See `UserEncoder.forward`."""
        x = self._inputs(history_vectors, event_type, mask)  # (B, T, D)
        return self._outputs(self.body(x, age_seconds, mask), mask)  # (B, T, D)

    def last(self, history_vectors: Tensor, event_type: Tensor, age_seconds: Tensor, mask: Tensor) -> Tensor:
        """See `UserEncoder.last`."""
        x = self._inputs(history_vectors, event_type, mask)  # (B, T, D)
        return self._outputs(self.body.last(x, age_seconds, mask), mask[:, -1:])[:, 0]  # (B, D)

    def _inputs(self, history_vectors: Tensor, event_type: Tensor, mask: Tensor) -> Tensor:
        kinds = self.event_type(event_type.clamp(0, EVENT_TYPE_CODES - 1))  # (B, T, D)
        x = self.input_norm(torch.where(mask.unsqueeze(-1), history_vectors + kinds, 0.0))  # (B, T, D)
        return self.input_dropout(x)  # (B, T, D)

    def _outputs(self, x: Tensor, mask: Tensor) -> Tensor:
        vectors = self.project(self.output_norm(x))  # (B, T or 1, D)
        return torch.where(mask.unsqueeze(-1), vectors, self.newcomer)  # (B, T or 1, D)


class ServingEncoder(nn.Module):
    """What is exported: the signature of a bundle's ``user_encoder.onnx``, on the encoder's own weights."""

    def __init__(self, encoder: UserEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self, history_vectors: Tensor, event_type: Tensor, age_seconds: Tensor, mask: Tensor
    ) -> Tensor:
        """See `UserEncoder.last`; returns ``user_vector (B, D) float32``."""
        return self.encoder.last(history_vectors, event_type, age_seconds, mask)
