"""Long short-term memory: a state kept by adding, guarded by gates."""

from __future__ import annotations

from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from models.recurrent import LayerState, LayerWeights, RecurrentConfig, RecurrentNetwork


class LSTMConfig(RecurrentConfig):
    """Settings of an LSTM."""

    forget_bias: float | None = Field(default=3.0, ge=-10, le=10)
    """Start of the forget gates' bias: at 3 a fresh network remembers some 20 timesteps. Empty: near 0."""


class LSTMState(NamedTuple):
    """The output and the memory of each layer."""

    h: tuple[Tensor, ...]
    """(B, H) per layer: what the layer shows to its gates, to the layer above and to the readout."""
    c: tuple[Tensor, ...]
    """(B, H) per layer: the cell, which only the gates may change."""


class LSTM(RecurrentNetwork[LSTMState]):
    r"""Long short-term memory with forget gates.

    Hochreiter & Schmidhuber 1997, "Long short-term memory", Neural Computation 9; forget gate from Gers,
    Schmidhuber & Cummins 2000, "Learning to forget", Neural Computation 12.

    .. math::
        i_t = \sigma(W_{xi} x_t + b_{xi} + W_{si} h_{t-1} + b_{si}) \\
        f_t = \sigma(W_{xf} x_t + b_{xf} + W_{sf} h_{t-1} + b_{sf}) \\
        g_t = \tanh(W_{xg} x_t + b_{xg} + W_{sg} h_{t-1} + b_{sg}) \\
        o_t = \sigma(W_{xo} x_t + b_{xo} + W_{so} h_{t-1} + b_{so}) \\
        c_t = f_t \odot c_{t-1} + i_t \odot g_t \\
        h_t = o_t \odot \tanh(c_t) \\
        y_t = W_y h_t + b_y

    Deviations from the papers, those of ``torch.nn.LSTM``, whose parameters these are: no peepholes, one cell
    per gate, and the full gradient instead of the 1997 truncated one. The forget gates' biases start at
    ``forget_bias``: a gate of σ(b) forgets with a time constant near e^b timesteps (Gers et al. 2000 start
    positive; Tallec & Ollivier 2018, "Can recurrent neural networks warp time?", derive the size from the
    lags to be learnt). PyTorch's own start, uniform in ±1/√H, is what ``None`` leaves.
    """

    state_type = LSTMState

    def __init__(self, config: LSTMConfig, input_size: int, output_size: int) -> None:
        super().__init__(
            nn.LSTM(input_size, config.hidden_size, config.layers, batch_first=True), output_size
        )
        if config.forget_bias is not None:
            self._start_forget_gates_at(config.forget_bias)

    @torch.no_grad()
    def _start_forget_gates_at(self, bias: float) -> None:
        """Give the forget gates' two biases, which are added, ``bias`` in all (Gers et al. 2000)."""
        for layer in range(self.rnn.num_layers):
            for name, start in ((f"bias_ih_l{layer}", bias), (f"bias_hh_l{layer}", 0.0)):
                _, f, _, _ = self.rnn.get_parameter(name).chunk(4)
                f.fill_(start)

    def cell(self, a_t: Tensor, previous: LayerState, weights: LayerWeights) -> LayerState:
        h, c = previous
        i, f, g, o = torch.addmm(a_t, h, weights.Ws_T).chunk(4, dim=-1)  # torch.nn.LSTM's documented order
        c = torch.addcmul(f.sigmoid() * c, i.sigmoid(), g.tanh())
        return o.sigmoid() * c.tanh(), c
