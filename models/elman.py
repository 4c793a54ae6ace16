"""The Elman network: the state feeds back."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from models.recurrent import LayerState, LayerWeights, RecurrentConfig, RecurrentNetwork, Sweep


class ElmanConfig(RecurrentConfig):
    """Settings of an Elman network."""

    nonlinearity: Literal["tanh", "relu"] = "tanh"
    """The squashing function of the state: tanh stays between -1 and 1, relu has no upper bound."""


class ElmanState(NamedTuple):
    """The hidden state of each layer."""

    h: tuple[Tensor, ...]
    """(B, H) per layer."""


class Elman(RecurrentNetwork[ElmanState]):
    r"""Simple recurrent network (Elman 1990, "Finding structure in time", Cognitive Science 14).

    .. math::
        h_t = \phi(W_x x_t + b_x + W_s h_{t-1} + b_s) \\
        y_t = W_y h_t + b_y

    with :math:`\phi` = tanh or relu. Deviations from the paper: its units are logistic, and its context units
    pass no gradient on, which is truncation to one step; here the gradient runs as far back as the trainer
    lets it. Two biases where one would do, as in ``torch.nn.RNN``, whose parameters these are.
    """

    state_type = ElmanState

    def __init__(self, config: ElmanConfig, input_size: int, output_size: int) -> None:
        rnn = nn.RNN(
            input_size,
            config.hidden_size,
            config.layers,
            nonlinearity=config.nonlinearity,
            batch_first=True,
        )
        super().__init__(rnn, output_size)
        self.kernel = {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}[config.nonlinearity]
        self.nonlinearity = {"tanh": torch.tanh, "relu": torch.relu}[config.nonlinearity]

    def cell(self, a_t: Tensor, previous: LayerState, weights: LayerWeights) -> LayerState:
        (h,) = previous
        return (self.nonlinearity(torch.addmm(a_t, h, weights.Ws_T)),)

    def sweep(self, a: Tensor, h: Tensor, previous: LayerState, weights: LayerWeights) -> Sweep:
        del a, previous  # the outputs say it all
        slope = 1 - h * h if self.nonlinearity is torch.tanh else (h > 0).to(h)  # (T, B, H)
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
