"""What the Elman network, the LSTM and the GRU share: layers of one cell under a linear readout.

A network's own file holds its cell, the equations of one layer at one timestep. This file stacks that cell
into layers and carries it through time. Weights live in one of PyTorch's fused modules, so ``forward`` runs
on its kernels (oneDNN, cuDNN), while ``step`` and ``unroll`` apply the cell to the very same parameters.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Generic, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Network, NetworkConfig, State

LayerState = tuple[Tensor, ...]
"""One layer's (B, H) tensors, in the order of the network's state fields; the first is its output, h."""


class RecurrentConfig(NetworkConfig):
    """Settings that every stacked recurrent network has."""

    hidden_size: int = Field(default=64, ge=1, le=2048)
    """Units in each layer, H: the numbers that the network carries from one timestep to the next."""
    layers: int = Field(default=1, ge=1, le=8)
    """Recurrent layers; each one reads the states of the layer below it at the same timestep."""


class LayerWeights(NamedTuple):
    """One layer's parameters. G is the number of blocks stacked in each: 1, or one per gate."""

    Wx: Tensor
    """(G·H, D), or (G·H, H) above the first layer: input to state."""
    Ws_T: Tensor
    """(H, G·H): state to state, transposed once for all timesteps."""
    bx: Tensor
    """(G·H,)"""
    bs: Tensor
    """(G·H,)"""


class RecurrentNetwork(Network[State], Generic[State]):
    """Layers of one cell, each reading the h of the layer below, then y_t = Wy h_t + by from the top one."""

    state_type: ClassVar[type]
    """The NamedTuple of this network's state; its first field is ``h``."""

    def __init__(self, rnn: nn.RNNBase, output_size: int) -> None:
        """Take the fused, batch-first module that holds the weights, and add a readout to ``output_size``."""
        super().__init__()
        self.input_size, self.output_size = rnn.input_size, output_size
        self.rnn = rnn
        self.readout = nn.Linear(rnn.hidden_size, output_size)

    @abstractmethod
    def cell(self, a_t: Tensor, previous: LayerState, weights: LayerWeights) -> LayerState:
        """One layer at one timestep: its next state.

        Args:
            a_t: (B, G·H) what ``drive`` made of this timestep's input.
            previous: the layer's state after the timestep before, (B, H) each.
            weights: the layer's parameters.
        """

    def drive(self, below: Tensor, weights: LayerWeights) -> Tensor:
        """The part of a layer's equations that needs no state: (..., D) gives (..., G·H).

        Both biases are added here, where one product serves all timesteps; a cell that needs bs elsewhere
        overrides this.
        """
        return F.linear(below, weights.Wx, weights.bx + weights.bs)

    def initial_state(self, batch_size: int) -> State:
        fields, layers = self.state_type._fields, range(self.rnn.num_layers)  # type: ignore[attr-defined]
        shape = (batch_size, self.rnn.hidden_size)
        return self._state([tuple(self.readout.weight.new_zeros(shape) for _ in fields) for _ in layers])

    def forward(self, x: Tensor, state: State | None = None, first: int = 0) -> tuple[Tensor, State]:
        one_field = len(self.state_type._fields) == 1  # type: ignore[attr-defined]
        before: Any = None  # for the fused module: zeros
        if state is not None:
            stacked = tuple(torch.stack(tensors) for tensors in state)  # (L, B, H) per field
            before = stacked[0] if one_field else stacked
        hidden, after = self.rnn(x, before)  # (B, T, H), and (L, B, H) per field
        fields = (after,) if one_field else after
        return self.readout(hidden[:, first:]), self.state_type(*(tensor.unbind(0) for tensor in fields))

    def step(self, x_t: Tensor, state: State) -> tuple[Tensor, State]:
        below, layers = x_t, []
        for layer, previous in enumerate(_by_layer(state)):
            weights = self._weights(layer)
            layers.append(self.cell(self.drive(below, weights), previous, weights))
            below = layers[-1][0]
        return self.readout(below), self._state(layers)

    def unroll(self, x: Tensor, state: State | None = None) -> tuple[Tensor, list[State]]:
        """Layer by layer rather than step by step: one product drives all timesteps of a layer.

        The layer above and the readout consume a stack of the states that are returned, so a gradient with
        respect to one of those still is the total derivative.
        """
        state = self.initial_state(x.shape[0]) if state is None else state
        below, histories = x.transpose(0, 1), []  # (T, B, D), so that each timestep lies in one piece
        for layer, layer_state in enumerate(_by_layer(state)):
            weights, history = self._weights(layer), []
            for a_t in self.drive(below, weights).unbind(0):
                layer_state = self.cell(a_t, layer_state, weights)
                history.append(layer_state)
            below = torch.stack([h_t for h_t, *_ in history])  # (T, B, H)
            histories.append(history)
        states = [self._state(layers) for layers in zip(*histories, strict=True)]
        return self.readout(below).transpose(0, 1), states

    def weight_roles(self) -> dict[str, Tensor]:
        roles = {}
        for layer in range(self.rnn.num_layers):
            roles[f"Wx/{layer}"] = self.rnn.get_parameter(f"weight_ih_l{layer}")
            roles[f"Ws/{layer}"] = self.rnn.get_parameter(f"weight_hh_l{layer}")
        return {**roles, "Wy": self.readout.weight}

    def _weights(self, layer: int) -> LayerWeights:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        Wx, Ws, bx, bs = (getattr(self.rnn, f"{name}_l{layer}") for name in names)
        return LayerWeights(Wx, Ws.t(), bx, bs)

    def _state(self, layers: list[LayerState] | tuple[LayerState, ...]) -> State:
        state: State = self.state_type(*zip(*layers, strict=True))
        return state


def _by_layer(state: State) -> list[LayerState]:
    """The state's tensors, layer by layer instead of field by field."""
    return list(zip(*state, strict=True))
