"""What the Elman network, the LSTM and the GRU share: layers of one cell under a linear readout.

A network's own file holds its cell, the equations of one layer at one timestep. This file stacks that cell
into layers and carries it through time. Weights live in one of PyTorch's fused modules, so ``forward`` runs
on its kernels (oneDNN, cuDNN), while ``step`` and ``unroll`` apply the cell to the very same parameters.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Generic, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Network, NetworkConfig, State, named_tensors

LayerState = tuple[Tensor, ...]
"""One layer's (B, H) tensors, in the order of the network's state fields; the first is its output, h."""


class RecurrentConfig(NetworkConfig):
    """Settings that every stacked recurrent network has."""

    hidden_size: int = Field(default=64, ge=1, le=2048)
    """Units in each layer, H: the numbers that the network carries from one timestep to the next."""
    layers: int = Field(default=1, ge=1, le=8)
    """Recurrent layers; each one reads the states of the layer below it at the same timestep."""


Sweep = Callable[[Tensor], tuple[LayerState, Tensor]]
"""One layer's backward pass through time, made of what its forward pass went through.

From the (T, B, H) gradient that reaches each h_t from outside the layer (the readout, the layer above) to
the (T, B, H) total gradient of each state tensor, in the order of the state's fields, and the (T, B, G·H)
gradient of what ``drive`` made.
"""


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
    kernel: Callable[..., tuple[Tensor, ...]]
    """PyTorch's fused function for a whole sequence, the one under ``rnn``."""

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

    @abstractmethod
    def sweep(self, a: Tensor, h: Tensor, previous: LayerState, weights: LayerWeights) -> Sweep:
        """The backward pass of ``cell`` through all timesteps, its derivatives written out.

        All that does not depend on the gradient is computed here for every timestep at once, so that each
        timestep of the sweep itself costs a few small operations; autograd takes three times as long.

        Args:
            a: (T, B, G·H) what ``drive`` made.
            h: (T, B, H) the outputs that the layer gave.
            previous: the state before the first timestep.
            weights: the layer's parameters.
        """

    def initial_state(self, batch_size: int) -> State:
        fields, layers = self.state_type._fields, range(self.rnn.num_layers)  # type: ignore[attr-defined]
        shape = (batch_size, self.rnn.hidden_size)
        return self._state([tuple(self.readout.weight.new_zeros(shape) for _ in fields) for _ in layers])

    def forward(self, x: Tensor, state: State | None = None, first: int = 0) -> tuple[Tensor, State]:
        state = self.initial_state(x.shape[0]) if state is None else state
        weights: Any = self.rnn._flat_weights  # as cuDNN wants them: side by side in memory
        hidden, *after = self._run_kernel(x, _stacked(state), weights, layers=self.rnn.num_layers)
        return self.readout(hidden[:, first:]), self.state_type(*(tensor.unbind(0) for tensor in after))

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

    def state_gradients(
        self, x: Tensor, state: State | None, loss: Callable[[Tensor], Tensor]
    ) -> dict[str, Tensor]:
        """Forward on the fused kernels, layer by layer, then each layer's ``sweep``, from the top down."""
        state = self.initial_state(x.shape[0]) if state is None else state
        sweeps = []
        with torch.no_grad():
            below = x.transpose(0, 1)  # (T, B, D)
            for layer, previous in enumerate(_by_layer(state)):
                weights, driven_by = self._weights(layer), below
                below = self.layer_outputs(layer, below, previous)
                sweeps.append(self.sweep(self.drive(driven_by, weights), below, previous, weights))
            outputs = self.readout(below).transpose(0, 1)
        with torch.enable_grad():
            outputs.requires_grad_()
            (gradient,) = torch.autograd.grad(
                loss(outputs), [outputs], allow_unused=True, materialize_grads=True
            )
        with torch.no_grad():
            reaching = gradient.transpose(0, 1) @ self.readout.weight  # (T, B, H)
            by_layer: list[LayerState] = []
            for layer in reversed(range(len(sweeps))):
                totals, of_drive = sweeps[layer](reaching)
                by_layer.insert(0, totals)
                if layer:
                    reaching = of_drive @ self._weights(layer).Wx
        return dict(named_tensors(self._state(by_layer)))

    def layer_outputs(self, layer: int, below: Tensor, previous: LayerState) -> Tensor:
        """One layer's h at every timestep, on the fused kernel: (T, B, D) gives (T, B, H)."""
        outputs, *_ = self._run_kernel(
            below.transpose(0, 1), [tensor[None] for tensor in previous], self._parameters_of(layer), layers=1
        )
        return outputs.transpose(0, 1)

    def _run_kernel(
        self, x: Tensor, before: list[Tensor], weights: list[Tensor], layers: int
    ) -> tuple[Tensor, ...]:
        """The fused function: (B, T, D) and (L, B, H) per field give (B, T, H) and (L, B, H) per field.

        Called directly: around it, ``nn.LSTM`` spends on checks what would be 2% of a small update.
        """
        return self.kernel(
            x,
            before[0] if len(before) == 1 else before,
            weights,
            has_biases=True,
            num_layers=layers,
            dropout=0.0,
            train=self.training,
            bidirectional=False,
            batch_first=True,
        )

    def weight_roles(self) -> dict[str, Tensor]:
        roles = {}
        for layer in range(self.rnn.num_layers):
            roles[f"Wx/{layer}"] = self.rnn.get_parameter(f"weight_ih_l{layer}")
            roles[f"Ws/{layer}"] = self.rnn.get_parameter(f"weight_hh_l{layer}")
        return {**roles, "Wy": self.readout.weight}

    def _weights(self, layer: int) -> LayerWeights:
        Wx, Ws, bx, bs = self._parameters_of(layer)
        return LayerWeights(Wx, Ws.t(), bx, bs)

    def _parameters_of(self, layer: int) -> list[Tensor]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [getattr(self.rnn, f"{name}_l{layer}") for name in names]

    def _state(self, layers: list[LayerState] | tuple[LayerState, ...]) -> State:
        state: State = self.state_type(*zip(*layers, strict=True))
        return state


def _stacked(state: Any) -> list[Tensor]:
    """(L, B, H) per field."""
    return [layers[0][None] if len(layers) == 1 else torch.stack(layers) for layers in state]


def _by_layer(state: State) -> list[LayerState]:
    """The state's tensors, layer by layer instead of field by field."""
    return list(zip(*state, strict=True))


def before_each(tensor: Tensor, first: Tensor) -> Tensor:
    """What came before each timestep: (T, B, H) shifted by one, with ``first`` (B, H) in front."""
    return torch.cat((first[None], tensor[:-1]))
