"""What the Elman network, the LSTM and the GRU share: layers of one cell under a linear readout.

A network's own file holds its cell, the equations of one layer at one timestep. This file stacks that cell
into layers and carries it through time. Where PyTorch has a fused kernel for the cell (oneDNN, cuDNN),
``forward`` runs on it, while ``step`` and ``unroll`` apply the cell to the very same parameters; for any
other cell ``forward`` is a loop.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Generic, NamedTuple

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Network, State, named_tensors
from models.clamping import LINEAR, Span, Squashing, deafen, speak_for
from models.initialisation import LARGEST_FOR_EIGENVALUES, Start, blocks, scale_to_radius_, start_weights
from models.layers import LayeredConfig, embedding

LayerState = tuple[Tensor, ...]
"""One layer's (B, H) tensors, in the order of the network's state fields; the first is its output, h."""


class RecurrentConfig(LayeredConfig):
    """Settings that every stacked recurrent network has."""

    init: Start = Field(default="pytorch", title="Start of the weights", json_schema_extra={"advanced": True})
    """PyTorch's start; an orthogonal or identity Ws; or the three of Pascanu et al. (2013): sigmoid .01, tanh
    .1, and smart tanh, whose Ws is sparse with spectral radius .95."""
    spectral_radius: float | None = Field(default=None, gt=0, le=10, json_schema_extra={"advanced": True})
    """Scale Ws at the start so that its largest eigenvalue has this size; empty: leave it."""

    @field_validator("init", "spectral_radius")
    @classmethod
    def _eigenvalues(cls, given: Any, info: ValidationInfo) -> Any:
        needed = given == "smart_tanh" or isinstance(given, float)
        # The time goes with the cube of the size.
        largest = int(LARGEST_FOR_EIGENVALUES / info.data.get("layers", 1) ** (1 / 3))
        if needed and info.data.get("hidden_size", 0) > largest:
            raise ValueError(
                "the eigenvalues of so large a Ws in each layer take too long to find; choose a hidden size "
                f"of {largest} or less, or another start"
            )
        return given


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
    others: Mapping[str, Tensor] = MappingProxyType({})
    """What else a cell has of its own, say peepholes, by the cell's own names."""


class CellWeights(nn.Module):
    """The weights of stacked layers of a cell that PyTorch has no kernel for, started as its own are.

    Args:
        input_size: D.
        hidden_size: H.
        num_layers: L.
        blocks: G, the matrices stacked in each weight.
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int, blocks: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        reach = hidden_size**-0.5
        for layer in range(num_layers):
            below = hidden_size if layer else input_size
            for name, shape in (
                ("weight_ih", (blocks * hidden_size, below)),
                ("weight_hh", (blocks * hidden_size, hidden_size)),
                ("bias_ih", (blocks * hidden_size,)),
                ("bias_hh", (blocks * hidden_size,)),
            ):
                start = torch.empty(shape).uniform_(-reach, reach)
                self.register_parameter(f"{name}_l{layer}", nn.Parameter(start))


class RecurrentNetwork(Network[State], Generic[State]):
    """Layers of one cell, each reading the h of the layer below, then y_t = Wy h_t + by from the top one."""

    state_type: ClassVar[type]
    """The NamedTuple of this network's state; its first field is ``h``."""
    squashed: Mapping[str, Squashing] = MappingProxyType({})
    """The gates whose blocks are stacked in the weights, in their order: what makes each of its sum."""
    kernel: Callable[..., tuple[Tensor, ...]] | None = None
    """PyTorch's fused function for a whole sequence, where it has one for this cell."""

    def __init__(
        self, rnn: nn.RNNBase | CellWeights, config: RecurrentConfig, input_size: int, output_size: int
    ) -> None:
        """Take the module that holds the layers' weights; add a readout, and an embedding before it all."""
        super().__init__()
        self.input_size, self.output_size = input_size, output_size
        self.rnn = rnn
        self.readout = nn.Linear(config.hidden_size, output_size)
        self.embedding = embedding(config, input_size)
        self.dropout = config.dropout
        self._start(config)

    @property
    def stacked(self) -> str:
        """The letters of the gates whose blocks are stacked in the weights, in their order."""
        return "".join(self.squashed)

    @abstractmethod
    def cell(self, a_t: Tensor, previous: LayerState, weights: LayerWeights) -> LayerState:
        """One layer at one timestep: its next state.

        Args:
            a_t: (B, G·H) what ``drive`` made of this timestep's input.
            previous: the layer's state after the timestep before, (B, H) each.
            weights: the layer's parameters.
        """

    def cell_gates(self, a_t: Tensor, previous: LayerState, weights: LayerWeights) -> dict[str, Tensor]:
        """The (B, H) gates by which ``cell`` makes its next state, by their letters; its own arguments."""
        del a_t, previous, weights
        return {}

    def drive(self, below: Tensor, weights: LayerWeights) -> Tensor:
        """The part of a layer's equations that needs no state: (..., D) gives (..., G·H).

        Both biases are added here, where one product serves all timesteps; a cell that needs bs elsewhere
        overrides this.
        """
        return F.linear(below, weights.Wx, weights.bx + weights.bs)

    def sweep(self, a: Tensor, h: Tensor, previous: LayerState, weights: LayerWeights) -> Sweep:
        """The backward pass of ``cell`` through all timesteps, its derivatives written out.

        Needed of a network with a ``kernel``. All that does not depend on the gradient is computed here for
        every timestep at once, so that each timestep of the sweep itself costs a few small operations;
        autograd takes three times as long.

        Args:
            a: (T, B, G·H) what ``drive`` made.
            h: (T, B, H) the outputs that the layer gave.
            previous: the state before the first timestep.
            weights: the layer's parameters.
        """
        raise NotImplementedError(f"{type(self).__name__} has a kernel: it needs a `sweep` as well")

    def initial_state(self, batch_size: int) -> State:
        fields, layers = self.state_type._fields, range(self.rnn.num_layers)  # type: ignore[attr-defined]
        shape = (batch_size, self.rnn.hidden_size)
        return self._state([tuple(self.readout.weight.new_zeros(shape) for _ in fields) for _ in layers])

    def forward(self, x: Tensor, state: State | None = None, first: int = 0) -> tuple[Tensor, State]:
        state = self.initial_state(x.shape[0]) if state is None else state
        x = self.embedding(x)
        if self.kernel is None:
            hidden, histories = self._loop(x, state)  # (T, B, H)
            outputs = self.readout(hidden[first:]).transpose(0, 1)
            return outputs, self._state([history[-1] for history in histories])
        weights: Any = self.rnn._flat_weights  # as cuDNN wants them: side by side in memory
        hidden, *after = self._run_kernel(x, _stacked(state), weights, layers=self.rnn.num_layers)
        return self.readout(hidden[:, first:]), self.state_type(*(tensor.unbind(0) for tensor in after))

    def step(self, x_t: Tensor, state: State) -> tuple[Tensor, State]:
        below, layers = self.embedding(x_t), []
        for layer, previous in enumerate(_by_layer(state)):
            weights = self._weights(layer)
            below = self._thin_out(below) if layer else below
            layers.append(self.cell(self.drive(below, weights), previous, weights))
            below = layers[-1][0]
        return self.readout(below), self._state(layers)

    def unroll(self, x: Tensor, state: State | None = None) -> tuple[Tensor, list[State]]:
        """Layer by layer rather than step by step: one product drives all timesteps of a layer.

        The layer above and the readout consume a stack of the states that are returned, so a gradient with
        respect to one of those still is the total derivative.
        """
        state = self.initial_state(x.shape[0]) if state is None else state
        hidden, histories = self._loop(self.embedding(x), state)
        states = [self._state(layers) for layers in zip(*histories, strict=True)]
        return self.readout(hidden).transpose(0, 1), states

    def gates(self, x: Tensor, state: State | None = None) -> dict[str, Tensor]:
        state = self.initial_state(x.shape[0]) if state is None else state
        found: dict[str, list[Tensor]] = {}
        with torch.no_grad():
            below = self.embedding(x).transpose(0, 1)  # (T, B, E)
            for layer, previous in enumerate(_by_layer(state)):
                weights, outputs = self._weights(layer), []
                for a_t in self.drive(below, weights).unbind(0):
                    for name, gate in self.cell_gates(a_t, previous, weights).items():
                        found.setdefault(f"{name}/{layer}", []).append(gate)
                    previous = self.cell(a_t, previous, weights)
                    outputs.append(previous[0])
                below = torch.stack(outputs)
        return {name: torch.stack(gates, dim=1) for name, gates in found.items()}

    def ranges(self) -> dict[str, tuple[float, float]]:
        return {
            f"{letter}/{layer}": (squashing.low, squashing.high)
            for layer in range(self.rnn.num_layers)
            for letter, squashing in self.squashed.items()
            if math.isfinite(squashing.low) and math.isfinite(squashing.high)
        }

    def clampable(self) -> dict[str, Span]:
        layers, held = range(self.rnn.num_layers), {**self.squashed, "h": LINEAR}
        return {f"{letter}/{at}": held[letter].span(self.rnn.hidden_size) for at in layers for letter in held}

    def hold(self, letter: str, layer: int, units: Sequence[int], value: float) -> None:
        """A gate, or what gates let in, stands still itself, since it no longer listens to anything.

        h is held as all matrices hear it: its own layer's Ws at the next timestep, and the layer above, or
        the readout, at this one. What a cell does with its state without a matrix goes on: a GRU's
        z ⊙ h_{t−1}, say.
        """
        Wx, Ws, bx, bs = self._parameters_of(layer)
        if letter in self.squashed:
            first = self.stacked.index(letter) * self.rnn.hidden_size
            rows = [first + unit for unit in units]
            deafen(rows, [Wx, Ws], [bx, bs], self.squashed[letter].argument(value))
            if (vector := self.other_weights(layer).get(letter)) is not None:
                deafen(units, [vector], [], 0.0)
            return None
        speak_for(units, Ws, bs, value)
        if layer + 1 < self.rnn.num_layers:
            above, _, bias, _ = self._parameters_of(layer + 1)
            return speak_for(units, above, bias, value)
        return speak_for(units, self.readout.weight, self.readout.bias, value)

    def _loop(self, x: Tensor, state: State) -> tuple[Tensor, list[list[LayerState]]]:
        """The cell at every timestep: (B, T, E) gives the top layer's (T, B, H), and each layer's history."""
        below, histories = x.transpose(0, 1), []  # (T, B, E), so that each timestep lies in one piece
        for layer, layer_state in enumerate(_by_layer(state)):
            weights, history = self._weights(layer), []
            for a_t in self.drive(self._thin_out(below) if layer else below, weights).unbind(0):
                layer_state = self.cell(a_t, layer_state, weights)
                history.append(layer_state)
            below = torch.stack([h_t for h_t, *_ in history])  # (T, B, H)
            histories.append(history)
        return below, histories

    def _thin_out(self, below: Tensor) -> Tensor:
        """Dropout between two layers, in training only."""
        return F.dropout(below, self.dropout, self.training) if self.dropout else below

    def state_gradients(
        self, x: Tensor, state: State | None, loss: Callable[[Tensor], Tensor]
    ) -> dict[str, Tensor]:
        """Forward on the fused kernels, layer by layer, then each layer's ``sweep``, from the top down.

        As in evaluation: nothing is dropped out.
        """
        if self.kernel is None:
            return super().state_gradients(x, state, loss)
        state = self.initial_state(x.shape[0]) if state is None else state
        sweeps = []
        with torch.no_grad():
            below = self.embedding(x).transpose(0, 1)  # (T, B, E)
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
        assert self.kernel is not None
        return self.kernel(
            x,
            before[0] if len(before) == 1 else before,
            weights,
            has_biases=True,
            num_layers=layers,
            dropout=self.dropout if layers > 1 and self.training else 0.0,
            # Beside dropout this says whether there may be a backward pass, which cuDNN refuses otherwise.
            train=self.training or torch.is_grad_enabled(),
            bidirectional=False,
            batch_first=True,
        )

    def weight_roles(self) -> dict[str, Tensor]:
        roles = {"We": self.embedding.weight} if isinstance(self.embedding, nn.Linear) else {}
        for layer in range(self.rnn.num_layers):
            roles[f"Wx/{layer}"] = self.rnn.get_parameter(f"weight_ih_l{layer}")
            roles[f"Ws/{layer}"] = self.rnn.get_parameter(f"weight_hh_l{layer}")
        return {**roles, "Wy": self.readout.weight}

    def recurrent_matrices(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for layer in range(self.rnn.num_layers):
            each = blocks(self.rnn.get_parameter(f"weight_hh_l{layer}"))
            gates = [f"/{letter}" for letter in self.stacked] or [""]
            found |= {f"Ws/{layer}{gate}": block for gate, block in zip(gates, each, strict=True)}
        return found

    def _weights(self, layer: int) -> LayerWeights:
        Wx, Ws, bx, bs = self._parameters_of(layer)
        return LayerWeights(Wx, Ws.t(), bx, bs, self.other_weights(layer))

    def other_weights(self, layer: int) -> Mapping[str, Tensor]:
        """What a layer's cell needs beside the weights that every cell has."""
        del layer
        return {}

    def _start(self, config: RecurrentConfig) -> None:
        """Start the weights as the settings want it."""
        for layer in range(config.layers):
            Wx, Ws, *biases = self._parameters_of(layer)
            is_top = layer == config.layers - 1
            Wy = self.readout.weight if is_top else None
            start_weights(config.init, Wx, Ws, Wy, biases + [self.readout.bias] * is_top)
            if config.spectral_radius is not None:
                scale_to_radius_(Ws, config.spectral_radius)

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
