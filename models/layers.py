"""What networks of several layers share: their settings, and how symbols are embedded.

Axes: B (batch), T (time), D (input features), H (hidden units), E (embedding).
"""

from __future__ import annotations

from pydantic import Field
from torch import nn

from models.base import NetworkConfig


class LayeredConfig(NetworkConfig):
    """Settings that every network of stacked hidden layers has."""

    hidden_size: int = Field(default=64, ge=1, le=2048)
    """Units in each hidden layer, H: of a recurrent network, the numbers that it carries through time."""
    layers: int = Field(default=1, ge=1, le=8)
    """Hidden layers; each one reads the layer below it at the same timestep."""
    dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        json_schema_extra={"advanced": True, "only_if": {"layers": {"above": 1}}},
    )
    """Share of the numbers between two layers that training sets to 0 at random; nothing with one layer."""
    embedding_size: int | None = Field(default=None, ge=1, le=1024, json_schema_extra={"advanced": True})
    """Give every input symbol a learnt vector of this size, which the first layer reads; empty: one-hot."""

    @property
    def state_size(self) -> int:
        return self.hidden_size * self.layers

    def read_size(self, input_size: int) -> int:
        """How many numbers the first hidden layer reads at each timestep."""
        return self.embedding_size or input_size


def embedding(config: LayeredConfig, input_size: int) -> nn.Module:
    """(..., D) to (..., E): for one-hot symbols a table of vectors, started as ``nn.Embedding`` starts.

    Without an ``embedding_size`` the inputs pass as they are.
    """
    if config.embedding_size is None:
        return nn.Identity()
    table = nn.Linear(input_size, config.embedding_size, bias=False)
    nn.init.normal_(table.weight)
    return table
