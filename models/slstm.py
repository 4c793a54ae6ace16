"""The scalar LSTM of xLSTM: exponential gates, and a memory that is a weighted mean."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from models.base import KEEPS, LETS_IN, OFFERED, PASSES_ON, Letter, ModelSpec
from models.clamping import EXPONENTIAL, LEAST, SIGMOID, TANH
from models.recurrent import CellWeights, LayerState, LayerWeights, RecurrentConfig, RecurrentNetwork


class SLSTMConfig(RecurrentConfig):
    """Settings of an sLSTM."""

    forget_gate: Literal["sigmoid", "exponential"] = "sigmoid"
    """Sigmoid keeps a share of the past, 0 to 1; exponential may also raise the past above what comes in."""
    forget_bias: float | None = Field(default=3.0, ge=-10, le=10)
    """How firmly a fresh network keeps its memory: at 3 it remembers some 20 timesteps. Empty: near 0."""

    @property
    def state_size(self) -> int:
        return len(SLSTMState._fields) * super().state_size


class SLSTMState(NamedTuple):
    """The output of each layer, and its memory as a fraction c / n, both in units of exp(m)."""

    h: tuple[Tensor, ...]
    """(B, H) per layer: what the layer shows to its gates, to the layer above and to the readout."""
    c: tuple[Tensor, ...]
    """(B, H) per layer: the sum of what was written, each share times its gates."""
    n: tuple[Tensor, ...]
    """(B, H) per layer: the sum of the gates alone, by which c is divided."""
    m: tuple[Tensor, ...]
    """(B, H) per layer: the logarithm of the unit of c and n, so that neither grows out of range."""


class _Gates(NamedTuple):
    """The blocks stacked in a layer's weights, in this order."""

    i: Tensor
    f: Tensor
    z: Tensor
    o: Tensor


class SLSTM(RecurrentNetwork[SLSTMState]):
    r"""sLSTM (Beck et al. 2024, "xLSTM: Extended long short-term memory", arXiv 2405.04517, section 2.2).

    .. math::
        \tilde i_t = W_{xi} x_t + b_{xi} + W_{si} h_{t-1} + b_{si}, \text{ and so for } f, z, o \\
        i_t = \exp(\tilde i_t), \quad f_t = \sigma(\tilde f_t) \text{ or } \exp(\tilde f_t) \\
        z_t = \tanh(\tilde z_t), \quad o_t = \sigma(\tilde o_t) \\
        c_t = f_t \odot c_{t-1} + i_t \odot z_t \\
        n_t = f_t \odot n_{t-1} + i_t \\
        h_t = o_t \odot c_t / n_t \\
        y_t = W_y h_t + b_y

    Since exp overflows, c and n are kept in units of :math:`\exp(m_t)`, which h does not notice:

    .. math::
        m_t = \max(\log f_t + m_{t-1}, \tilde i_t) \\
        i'_t = \exp(\tilde i_t - m_t), \quad f'_t = \exp(\log f_t + m_{t-1} - m_t)

    :math:`m_t` comes first, and :math:`c_t, n_t` are made with it: so the total derivative of a loss by
    :math:`m_t` is 0, as its choice changes nothing. ``state_gradients`` says so exactly, where autograd would
    give the rounding errors of two paths that cancel. The derivatives by :math:`c_t` and :math:`n_t` are per
    unit of what is stored.

    Deviations from the paper: one head, Ws full, so that every cell sees every other; two biases where one
    would do, as for the other networks here; the cell alone, without the blocks (convolution, normalisation,
    projections) that the paper stacks. Forget gates of either kind start near σ(``forget_bias``); the other
    biases are left as ``init`` makes them.

    ``clamp`` holds i and f of these equations, not the shares that ``gates`` gives. An i that never changes
    cancels in c / n: from an empty memory, h is the same wherever it stands. At 0 it would leave 0 / 0, so
    its lowest value is a small number instead.
    """

    state_type = SLSTMState
    mere_units = MappingProxyType({"m": frozenset({"c", "n"})})
    keeps_at = MappingProxyType({"f": 1.0, "i": 0.0})
    letters = MappingProxyType(
        {
            "i": Letter("input gate i", LETS_IN),
            "f": Letter("forget gate f", KEEPS),
            "z": Letter("candidate z", OFFERED),
            "o": Letter("output gate o", PASSES_ON),
        }
    )

    def __init__(self, config: SLSTMConfig, input_size: int, output_size: int) -> None:
        sizes = config.read_size(input_size), config.hidden_size, config.layers
        weights = CellWeights(*sizes, blocks=len(_Gates._fields))
        super().__init__(weights, config, input_size, output_size)
        self.is_exponential = config.forget_gate == "exponential"
        self.squashed = {
            "i": EXPONENTIAL._replace(low=LEAST),  # at 0 an empty memory would stay 0 / 0
            "f": EXPONENTIAL if self.is_exponential else SIGMOID,
            "z": TANH,
            "o": SIGMOID,
        }
        if config.forget_bias is not None:
            start = torch.tensor(config.forget_bias)
            self._start_forget_gates_at(F.logsigmoid(start) if self.is_exponential else start)

    @torch.no_grad()
    def _start_forget_gates_at(self, bias: Tensor) -> None:
        """Give the forget gates' two biases, which are added, ``bias`` in all."""
        for layer in range(self.rnn.num_layers):
            _gates(self.rnn.get_parameter(f"bias_ih_l{layer}")).f.copy_(bias)
            _gates(self.rnn.get_parameter(f"bias_hh_l{layer}")).f.zero_()

    def cell(self, a_t: Tensor, previous: LayerState, weights: LayerWeights) -> LayerState:
        _, c, n, _ = previous
        gates, m = self._open(a_t, previous, weights)
        c = torch.addcmul(gates.f * c, gates.i, gates.z)
        n = torch.addcmul(gates.i, gates.f, n)
        return gates.o * (c / n), c, n, m

    def cell_gates(self, a_t: Tensor, previous: LayerState, weights: LayerWeights) -> dict[str, Tensor]:
        """i and f as shares, new and old, in the memory c / n: they add up to 1, where exp has no end."""
        gates, _ = self._open(a_t, previous, weights)
        old = gates.f * previous[2]
        n = old + gates.i
        return {"i": gates.i / n, "f": old / n, "z": gates.z, "o": gates.o}

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Of the shares that ``gates`` gives, and not of i and f themselves, where exp has no upper end."""
        layers = range(self.rnn.num_layers)
        return super().ranges() | {f"{letter}/{layer}": (0.0, 1.0) for layer in layers for letter in "if"}

    def _open(self, a_t: Tensor, previous: LayerState, weights: LayerWeights) -> tuple[_Gates, Tensor]:
        """The gates, i and f in units of exp(m); and that m, (B, H) each."""
        h, _, n, m = previous
        under = _gates(torch.addmm(a_t, h, weights.Ws_T).to(m.dtype))
        log_f = under.f if self.is_exponential else F.logsigmoid(under.f)
        kept = (log_f + m).masked_fill(n == 0, -torch.inf)  # the unit of an empty memory means nothing
        m = torch.maximum(kept, under.i)
        gates = _Gates(i=(under.i - m).exp(), f=(kept - m).exp(), z=under.z.tanh(), o=under.o.sigmoid())
        return gates, m

    def in_fixed_units(self, state: SLSTMState) -> SLSTMState:
        fixed = tuple(m.detach() for m in state.m)
        grown = [(m - unit).exp() for m, unit in zip(state.m, fixed, strict=True)]  # 1, with a gradient
        c = tuple(c * factor for c, factor in zip(state.c, grown, strict=True))
        n = tuple(n * factor for n, factor in zip(state.n, grown, strict=True))
        return SLSTMState(state.h, c, n, fixed)

    def state_gradients(
        self, x: Tensor, state: SLSTMState | None, loss: Callable[[Tensor], Tensor]
    ) -> dict[str, Tensor]:
        """By autograd; those of m, which are 0 but for rounding, are set to 0."""
        gradients = super().state_gradients(x, state, loss)
        return {
            name: g.zero_() if name.split("/")[0] in self.mere_units else g for name, g in gradients.items()
        }


def _gates(stacked: Tensor) -> _Gates:
    """(..., 4H) by name, (..., H) each; views."""
    return _Gates(*stacked.chunk(len(_Gates._fields), dim=-1))


SPEC = ModelSpec(
    title="sLSTM",
    group="Gated",
    summary="An LSTM with exponential gates: what comes in can outweigh all that was written before.",
    equations=(
        "i_t = \\exp(W_{xi} x_t + b_{xi} + W_{si} h_{t-1} + b_{si})\n"
        "f_t = \\sigma(W_{xf} x_t + b_{xf} + W_{sf} h_{t-1} + b_{sf}) \\text{ or } \\exp(\\dots)\n"
        "z_t = \\tanh(W_{xz} x_t + b_{xz} + W_{sz} h_{t-1} + b_{sz})\n"
        "o_t = \\sigma(W_{xo} x_t + b_{xo} + W_{so} h_{t-1} + b_{so})\n"
        "c_t = f_t \\odot c_{t-1} + i_t \\odot z_t\n"
        "n_t = f_t \\odot n_{t-1} + i_t\n"
        "h_t = o_t \\odot c_t / n_t\n"
        "y_t = W_y h_t + b_y"
    ),
    source=(
        "Beck, Pöppel, Spanring, Auer, Prudnikova, Kopp, Klambauer, Brandstetter & Hochreiter 2024, "
        "xLSTM: Extended long short-term memory (arXiv 2405.04517)"
    ),
    config=SLSTMConfig,
    network=SLSTM,
)
