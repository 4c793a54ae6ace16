"""What the minGRU and the LRU share: layers of a linear recurrence, read by a scan instead of a loop.

What drives such a layer comes from its input alone, so that ``forward`` has all of it at once and leaves the
rest to ``scan``; ``step`` does the same for one timestep.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Generic, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Network, State
from models.clamping import Span
from models.layers import LayeredConfig, embedding
from models.scan import scan


class ParallelLayer(nn.Module, ABC):
    """One layer: h_t = a_t ⊙ h_{t−1} + b_t, and what it shows to the layer above."""

    @abstractmethod
    def recurrence(self, below: Tensor) -> tuple[Tensor, Tensor]:
        """(..., D) inputs give a, (..., H) or (H,) where it is always the same, and b (..., H).

        In the precision of the weights even under autocast: errors of a factor near 1 add up over timesteps.
        """

    @abstractmethod
    def show(self, h: Tensor, below: Tensor) -> Tensor:
        """(..., H) states and (..., D) inputs of the same timesteps give (..., H)."""

    @abstractmethod
    def roles(self) -> dict[str, Tensor]:
        """The layer's weight matrices by their names in the literature, without the layer's number."""

    def gates(self, below: Tensor) -> dict[str, Tensor]:
        """(T, B, H) by letter, from the layer's (T, B, D) inputs: as ``Network.gates``."""
        del below
        return {}

    def ranges(self) -> dict[str, tuple[float, float]]:
        """By letter: as ``Network.ranges``."""
        return {}

    def clampable(self) -> dict[str, Span]:
        """What ``hold`` can hold, by letter: as ``Network.clampable``."""
        return {}

    def hold(self, letter: str, units: Sequence[int], value: float) -> None:
        """Change the layer's weights so that units stand at a value, which its range has."""
        raise NotImplementedError(f"{type(self).__name__} has what can be held: it needs a `hold`")

    # A complex state is carried as two real tensors, so that all that looks at states meets real numbers.
    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """The h of the recurrence from the layer's state tensors."""
        (h,) = parts
        return h

    def split(self, h: Tensor) -> tuple[Tensor, ...]:
        """The state tensors, in the order of the state's fields, from the h of the recurrence."""
        return (h,)


class _Reading(NamedTuple):
    """A sequence read, layer by layer."""

    outputs: Tensor
    """(B, T - first, O)"""
    below: list[Tensor]
    """(T, B, D) what each layer read."""
    driven: list[Tensor]
    """(T, B, H) the b of each layer's recurrence."""
    h: list[Tensor]
    """(T, B, H) the state that each layer made of it."""


class ParallelNetwork(Network[State], Generic[State]):
    """Layers of linear recurrences, each reading what the one below shows, then a linear readout."""

    state_type: ClassVar[type]
    """The NamedTuple of this network's state."""

    def __init__(
        self, layers: Sequence[ParallelLayer], config: LayeredConfig, input_size: int, output_size: int
    ) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, output_size
        self.layers = nn.ModuleList(layers)
        self.readout = nn.Linear(config.hidden_size, output_size)
        self.embedding = embedding(config, input_size)
        self.dropout = config.dropout

    def initial_state(self, batch_size: int) -> State:
        zeros = self.readout.weight.new_zeros
        shape = (batch_size, self.readout.in_features)
        fields = self.state_type._fields  # type: ignore[attr-defined]
        return self._state([tuple(zeros(shape) for _ in fields) for _ in self.layers])

    def forward(self, x: Tensor, state: State | None = None, first: int = 0) -> tuple[Tensor, State]:
        reading = self._read(x, state, first)
        # Copies: a view would keep all timesteps in memory for as long as the state is kept.
        last = [
            tuple(part.clone() for part in layer.split(h[-1]))
            for layer, h in zip(self._each_layer(), reading.h, strict=True)
        ]
        return reading.outputs, self._state(last)

    def step(self, x_t: Tensor, state: State) -> tuple[Tensor, State]:
        below, after = self.embedding(x_t), []
        for number, (layer, previous) in enumerate(zip(self._each_layer(), _by_layer(state), strict=True)):
            below = self._thin_out(below) if number else below
            a, b = layer.recurrence(below)
            parts = layer.split(torch.addcmul(b, a, layer.join(previous)))
            after.append(parts)
            below = layer.show(layer.join(parts), below)
        return self.readout(below), self._state(after)

    def state_gradients(
        self, x: Tensor, state: State | None, loss: Callable[[Tensor], Tensor]
    ) -> dict[str, Tensor]:
        """By the scan's own backward pass: the gradient of b_t is the total derivative by h_t."""
        with torch.enable_grad():
            reading = self._read(x.detach().requires_grad_(), state, first=0)
            gradients = torch.autograd.grad(
                loss(reading.outputs), reading.driven, allow_unused=True, materialize_grads=True
            )
        by_layer = [
            layer.split(gradient) for layer, gradient in zip(self._each_layer(), gradients, strict=True)
        ]
        return {
            f"{field}/{number}": parts[place]
            for place, field in enumerate(self.state_type._fields)  # type: ignore[attr-defined]
            for number, parts in enumerate(by_layer)
        }

    def gates(self, x: Tensor, state: State | None = None) -> dict[str, Tensor]:
        with torch.no_grad():
            reading = self._read(x, state, first=0)
            return {
                f"{name}/{number}": gate.transpose(0, 1)
                for number, (layer, below) in enumerate(zip(self._each_layer(), reading.below, strict=True))
                for name, gate in layer.gates(below).items()
            }

    def ranges(self) -> dict[str, tuple[float, float]]:
        return {
            f"{letter}/{number}": span
            for number, layer in enumerate(self._each_layer())
            for letter, span in layer.ranges().items()
        }

    def clampable(self) -> dict[str, Span]:
        return {
            f"{letter}/{number}": span
            for number, layer in enumerate(self._each_layer())
            for letter, span in layer.clampable().items()
        }

    def hold(self, letter: str, layer: int, units: Sequence[int], value: float) -> None:
        """As the layer's own ``hold``."""
        self._each_layer()[layer].hold(letter, units, value)

    def weight_roles(self) -> dict[str, Tensor]:
        roles = {"We": self.embedding.weight} if isinstance(self.embedding, nn.Linear) else {}
        for number, layer in enumerate(self._each_layer()):
            roles |= {f"{name}/{number}": weight for name, weight in layer.roles().items()}
        return {**roles, "Wy": self.readout.weight}

    def _read(self, x: Tensor, state: State | None, first: int) -> _Reading:
        state = self.initial_state(x.shape[0]) if state is None else state
        below = self.embedding(x).transpose(0, 1)  # (T, B, E), so that each timestep lies in one piece
        read, driven, histories = [], [], []
        for number, (layer, previous) in enumerate(zip(self._each_layer(), _by_layer(state), strict=True)):
            below = self._thin_out(below) if number else below
            a, b = layer.recurrence(below)
            h = scan(a, b, layer.join(previous))
            read.append(below)
            driven.append(b)
            histories.append(h)
            wanted = first if number == len(self.layers) - 1 else 0
            below = layer.show(h[wanted:], below[wanted:])
        return _Reading(self.readout(below).transpose(0, 1), read, driven, histories)

    def _thin_out(self, below: Tensor) -> Tensor:
        """Dropout between two layers, in training only."""
        return F.dropout(below, self.dropout, self.training) if self.dropout else below

    def _each_layer(self) -> list[ParallelLayer]:
        return list(self.layers)  # type: ignore[arg-type]

    def _state(self, layers: Sequence[tuple[Tensor, ...]]) -> State:
        state: State = self.state_type(*zip(*layers, strict=True))
        return state


def affine(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``F.linear``: (..., D), (H, D) and (H,) give (..., H); quicker where there are few inputs.

    With many timesteps and D far below H its gradient by the weights, δᵀx, takes longer than all else in a
    layer; from a transposed weight autograd computes xᵀδ, which is seven times quicker at D = 2.
    """
    if x.dim() == 2:  # a single timestep has nothing to gain
        return F.linear(x, weight, bias)
    flat, transposed = x.reshape(-1, x.shape[-1]), weight.t().contiguous()
    products = flat @ transposed if bias is None else torch.addmm(bias, flat, transposed)
    return products.view(*x.shape[:-1], weight.shape[0])  # -1 is ambiguous of no timesteps


def _by_layer(state: State) -> list[tuple[Tensor, ...]]:
    """The state's tensors, layer by layer instead of field by field."""
    return list(zip(*state, strict=True))
