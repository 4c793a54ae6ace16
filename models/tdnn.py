"""The time-delay neural network: a memory of fixed length, made of delay lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from models.activations import ACTIVATIONS, RANGES, ActivationName
from models.base import Letter, ModelSpec, Network, named_tensors
from models.clamping import LINEAR, Span, speak_for
from models.layers import LayeredConfig, embedding


class TDNNConfig(LayeredConfig):
    """Settings of a time-delay neural network."""

    layers: int = Field(default=1, ge=1, le=8)
    """Hidden layers; each one reads the layer below it, now and at some timesteps before."""
    delays: int = Field(default=2, title="Input delays", ge=0, le=256)
    """How many timesteps back the first layer sees the input; it sees the present one as well."""
    hidden_delays: int = Field(default=4, ge=0, le=64)
    """How many timesteps back each hidden layer is seen by the layer above it, or by the output."""
    activation: ActivationName = "tanh"
    """What a unit makes of its sum: tanh (-1 to 1), sigmoid (0 to 1), relu (0 and up), or linear: the sum."""

    @property
    def state_size(self) -> int:
        return self.hidden_size * self.layers * (self.hidden_delays + 1)

    @property
    def receptive_field(self) -> int:
        """Timesteps that one output depends on: the present and those that all delays together reach."""
        return 1 + self.delays + self.layers * self.hidden_delays


class TDNNState(NamedTuple):
    """What the delay lines hold after a timestep: the newest value and those before it.

    Each value has its taps side by side, the oldest first. The oldest leaves the line at the next timestep.
    """

    x: tuple[Tensor, ...]
    """(B, D·(delays+1)): the inputs."""
    h: tuple[Tensor, ...]
    """(B, H·(hidden_delays+1)) per layer: its outputs."""


class TDNN(Network[TDNNState]):
    r"""Time-delay neural network.

    Waibel, Hanazawa, Hinton, Shikano & Lang 1989, "Phoneme recognition using time-delay neural networks",
    IEEE Transactions on Acoustics, Speech, and Signal Processing 37. Lines of N input and M hidden delays
    feed each unit with the present and the past; the weights are the same at every timestep:

    .. math::
        h^1_t = \phi(\sum_{d=0}^{N} W^1_{x,d} x_{t-d} + b^1) \\
        h^l_t = \phi(\sum_{d=0}^{M} W^l_{x,d} h^{l-1}_{t-d} + b^l), \quad l = 2 \dots L \\
        y_t = \sum_{d=0}^{M} W_{y,d} h^L_{t-d} + b_y

    What lies before the first timestep is 0. An output sees 1 + N + L·M timesteps, and no gradient reaches
    further back: the memory of a TDNN is exact within that and nothing beyond. Deviations from the paper: its
    units are logistic, and its outputs sum the last hidden layer over a whole word with fixed equal weights;
    here φ can be chosen, and the output has learnt weights over M delays. ``forward`` is one ``conv1d`` per
    layer, and computes only what the wanted outputs see.
    """

    letters = MappingProxyType({"h": Letter("hidden units h")})

    def __init__(self, config: TDNNConfig, input_size: int, output_size: int) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, output_size
        self.config = config
        self.embedding = embedding(config, input_size)
        hidden_taps = config.hidden_delays + 1
        self.taps = [config.delays + 1] + [hidden_taps] * config.layers
        """Values that each delay line holds, from the input's up."""
        self.widths = [config.read_size(input_size)] + [config.hidden_size] * config.layers
        """Lines side by side, D or H."""
        above = [config.hidden_size] * config.layers + [output_size]
        self.units: list[nn.Linear] = nn.ModuleList(  # type: ignore[assignment] # says nothing of its contents
            nn.Linear(width * taps, units)
            for width, taps, units in zip(self.widths, self.taps, above, strict=True)
        )
        """What reads each delay line: the hidden layers, then the readout."""
        self.activation = ACTIVATIONS[config.activation]
        self.dropout = config.dropout

    def initial_state(self, batch_size: int) -> TDNNState:
        weight = self.units[0].weight
        return self._state([weight.new_zeros(batch_size, unit.in_features) for unit in self.units])

    def forward(self, x: Tensor, state: TDNNState | None = None, first: int = 0) -> tuple[Tensor, TDNNState]:
        state = self.initial_state(x.shape[0]) if state is None else state
        length, starts = x.shape[1], self._starts(x.shape[1], first)
        below = self.embedding(x[:, max(0, starts[0] - self.config.delays) :]).transpose(1, 2)  # (B, D, T)
        after = []
        for index, before in enumerate((*state.x, *state.h)):
            line = self._line(index, before, below, length - starts[index])
            after.append(line[:, :, -self.taps[index] :].flatten(1))
            below = self._read(index, line)
        return below[:, :, first - starts[-1] :].transpose(1, 2), self._state(after)

    def step(self, x_t: Tensor, state: TDNNState) -> tuple[Tensor, TDNNState]:
        below, after = self.embedding(x_t), []
        for index, before in enumerate((*state.x, *state.h)):
            taps = self._taps(index, before)  # (B, D or H, taps)
            after.append(torch.cat((taps[:, :, 1:], below.unsqueeze(2)), dim=2).flatten(1))
            below = self.units[index](after[-1])
            if index < len(self.units) - 1:
                below = self._pass_on(index, self.activation.function(below))
        return below, self._state(after)

    def state_gradients(
        self, x: Tensor, state: TDNNState | None, loss: Callable[[Tensor], Tensor]
    ) -> dict[str, Tensor]:
        """Layer by layer for all timesteps at once; as in evaluation: nothing is dropped out.

        A line's total derivative at t is what reading it at t gives, plus its derivative at t+1 moved back by
        one tap; the newest tap's is that of the unit's output.
        """
        state = self.initial_state(x.shape[0]) if state is None else state
        length, values = x.shape[1], []
        with torch.no_grad():
            below = self.embedding(x).transpose(1, 2)
            for index, before in enumerate((*state.x, *state.h)):
                values.append(below)
                below = self._read(index, self._line(index, before, below, length), dropout=False)
        outputs = below.transpose(1, 2).requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(
                loss(outputs), [outputs], allow_unused=True, materialize_grads=True
            )
        totals: list[Tensor] = []
        with torch.no_grad():
            for index in reversed(range(len(self.units))):
                kernel = self._taps(index, self.units[index].weight).permute(2, 0, 1)
                # (taps, B, T, D or H): by reading at t, then also by what is one tap older at t + 1.
                total = (gradient.flatten(0, 1) @ kernel).view(-1, *gradient.shape[:2], kernel.shape[2])
                for tap in range(1, self.taps[index]):
                    total[tap, :, :-1] += total[tap - 1, :, 1:]
                total = total.permute(1, 2, 3, 0)
                totals.insert(0, total.flatten(2).transpose(0, 1))
                gradient = total[..., -1] * self.activation.slope(values[index].transpose(1, 2))
        return dict(named_tensors(self._state(totals)))

    def weight_roles(self) -> dict[str, Tensor]:
        """Each (H, D·taps): the taps of an input side by side, the oldest first."""
        roles = {"We": self.embedding.weight} if isinstance(self.embedding, nn.Linear) else {}
        *hidden, readout = self.units
        roles |= {f"Wx/{layer}": unit.weight for layer, unit in enumerate(hidden)}
        return {**roles, "Wy": readout.weight}

    def ranges(self) -> dict[str, tuple[float, float]]:
        span = RANGES.get(self.config.activation)
        return {} if span is None else {f"h/{layer}": span for layer in range(self.config.layers)}

    def clampable(self) -> dict[str, Span]:
        *hidden, _ = self.units
        return {f"h/{layer}": LINEAR.span(unit.out_features) for layer, unit in enumerate(hidden)}

    def hold(self, letter: str, layer: int, units: Sequence[int], value: float) -> None:
        """h is held as the layer above, or the readout, hears it in every tap.

        Also in those that reach to before the first timestep, where the line holds 0.
        """
        del letter
        reader, taps = self.units[layer + 1], self.taps[layer + 1]
        places = [unit * taps + tap for unit in units for tap in range(taps)]
        speak_for(places, reader.weight, reader.bias, value)

    def facts(self) -> dict[str, str]:
        sizes, seen = self.config, self.config.receptive_field
        return {
            "Receptive field": (
                f"{seen} timestep{'s' * (seen > 1)}: 1 + {sizes.delays} (input delays)"
                f" + {sizes.layers} × {sizes.hidden_delays} (hidden layers × their delays)"
            )
        }

    def _starts(self, length: int, first: int) -> list[int]:
        """From which timestep on each line has to be read: where outputs before ``first`` are not wanted.

        All are read at the last timestep, for the state after it.
        """
        starts = [min(first, length - 1)]
        for taps in reversed(self.taps[1:]):
            starts.insert(0, max(0, starts[0] - (taps - 1)))
        return starts

    def _line(self, index: int, before: Tensor, below: Tensor, count: int) -> Tensor:
        """What passes through a line while it is read at ``count`` timesteps: (B, D or H, taps - 1 + count).

        Where ``below`` (B, D or H, n) does not hold that many values, the line held the others ``before``.
        """
        missing = self.taps[index] - 1 + count - below.shape[2]
        return torch.cat((self._taps(index, before)[:, :, self.taps[index] - missing :], below), dim=2)

    def _read(self, index: int, line: Tensor, dropout: bool = True) -> Tensor:
        """What a line gives at each timestep, (B, H or O, count): with the same weights, so a convolution."""
        unit = self.units[index]
        kernel = self._taps(index, unit.weight)  # (H or O, D or H, taps)
        made = F.conv1d(line, kernel, unit.bias)
        if index == len(self.units) - 1:
            return made
        h = self.activation.function(made)
        return self._pass_on(index, h) if dropout else h

    def _pass_on(self, layer: int, h: Tensor) -> Tensor:
        """Dropout between two hidden layers: as h enters the line, so that it is the same at every delay."""
        is_top = layer == len(self.units) - 2
        return h if is_top or not self.dropout else F.dropout(h, self.dropout, self.training)

    def _taps(self, index: int, held: Tensor) -> Tensor:
        """The last axis, taken apart: (..., D·taps) gives (..., D, taps)."""
        return held.view(*held.shape[:-1], -1, self.taps[index])

    def _state(self, lines: list[Tensor]) -> TDNNState:
        return TDNNState(tuple(lines[:1]), tuple(lines[1:]))


SPEC = ModelSpec(
    title="Time-delay network (TDNN)",
    summary="Remembers by delay lines: it sees a fixed number of timesteps back, and nothing beyond.",
    group="Without recurrence",
    equations=(
        "h^1_t = \\phi(\\sum_{d=0}^{N} W^1_{x,d} x_{t-d} + b^1), \\quad"
        " \\phi \\in \\{\\tanh, \\sigma, \\operatorname{relu}, \\operatorname{id}\\}\n"
        "h^l_t = \\phi(\\sum_{d=0}^{M} W^l_{x,d} h^{l-1}_{t-d} + b^l), \\quad l = 2 \\dots L\n"
        "y_t = \\sum_{d=0}^{M} W_{y,d} h^L_{t-d} + b_y"
    ),
    source=(
        "Waibel, Hanazawa, Hinton, Shikano & Lang 1989, Phoneme recognition using time-delay neural networks"
    ),
    config=TDNNConfig,
    network=TDNN,
)
