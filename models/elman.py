"""The Elman network: the state feeds back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from models.activations import RANGES
from models.base import ModelSpec
from models.recurrent import (
    CellWeights,
    LayerState,
    LayerWeights,
    RecurrentConfig,
    RecurrentNetwork,
    Sweep,
)


class ElmanConfig(RecurrentConfig):
    """Settings of an Elman network."""

    nonlinearity: Literal["tanh", "relu", "sigmoid", "linear"] = "tanh"
    """The squashing function of the state: tanh is in ±1, sigmoid in 0 to 1, the others unbounded."""


class ElmanState(NamedTuple):
    """The hidden state of each layer."""

    h: tuple[Tensor, ...]
    """(B, H) per layer."""


class Elman(RecurrentNetwork[ElmanState]):
    r"""Simple recurrent network (Elman 1990, "Finding structure in time", Cognitive Science 14).

    .. math::
        h_t = \phi(W_x x_t + b_x + W_s h_{t-1} + b_s) \\
        y_t = W_y h_t + b_y

    with :math:`\phi` = tanh, relu, the logistic sigmoid (the paper's) or none. Deviations from the paper: its
    context units pass no gradient on, which is truncation to one step; here the gradient runs as far back as
    the trainer lets it. Two biases where one would do, as in ``torch.nn.RNN``, whose parameters these are.
    """

    state_type = ElmanState

    def __init__(self, config: ElmanConfig, input_size: int, output_size: int) -> None:
        read, name = config.read_size(input_size), config.nonlinearity
        fused = _KERNELS.get(name)
        super().__init__(
            CellWeights(read, config.hidden_size, config.layers, blocks=1)
            if fused is None
            else nn.RNN(read, config.hidden_size, config.layers, nonlinearity=name, batch_first=True),
            config,
            input_size,
            output_size,
        )
        self.kernel = fused
        self.nonlinearity = _NONLINEARITIES[name]
        self.range = RANGES.get(name)

    def cell(self, a_t: Tensor, previous: LayerState, weights: LayerWeights) -> LayerState:
        (h,) = previous
        return (self.nonlinearity(torch.addmm(a_t, h, weights.Ws_T)),)

    def ranges(self) -> dict[str, tuple[float, float]]:
        return {f"h/{layer}": self.range for layer in range(self.rnn.num_layers) if self.range is not None}

    def sweep(self, a: Tensor, h: Tensor, previous: LayerState, weights: LayerWeights) -> Sweep:
        del a, previous  # the outputs say it all
        slope = 1 - h * h if self.kernel is torch.rnn_tanh else (h > 0).to(h)  # (T, B, H)
        Ws = weights.Ws_T.t()

        def back(reaching: Tensor) -> tuple[LayerState, Tensor]:
            dh = reaching[-1]
            of_h = [dh]
            for slope_t, reaching_before in reversed(list(zip(slope[1:], reaching[:-1], strict=True))):
                dh = torch.addmm(reaching_before, dh * slope_t, Ws)
                of_h.append(dh)
            total = torch.stack(of_h[::-1])
            return (total,), total * slope

        return back


_KERNELS: dict[str, Callable[..., tuple[Tensor, ...]]] = {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}
_NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "linear": lambda a: a,
}

SPEC = ModelSpec(
    title="Elman network",
    summary="The plain recurrent network: each state is made anew from the input and the state before.",
    group="Plain recurrent",
    equations=(
        "h_t = \\phi(W_x x_t + b_x + W_s h_{t-1} + b_s)\n"
        "\\phi \\in \\{\\tanh, \\mathrm{relu}, \\sigma, \\mathrm{id}\\}, \\quad h_0 = 0\n"
        "y_t = W_y h_t + b_y"
    ),
    source="Elman 1990, Finding structure in time",
    config=ElmanConfig,
    network=Elman,
)
