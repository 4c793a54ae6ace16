"""Long short-term memory: a state kept by adding, guarded by gates."""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from models.base import KEEPS, LETS_IN, OFFERED, PASSES_ON, Letter, ModelSpec
from models.clamping import SIGMOID, TANH
from models.recurrent import (
    CellWeights,
    LayerState,
    LayerWeights,
    RecurrentConfig,
    RecurrentNetwork,
    Sweep,
    before_each,
)


class LSTMConfig(RecurrentConfig):
    """Settings of an LSTM."""

    forget_gate: bool = Field(default=True, json_schema_extra={"advanced": True})
    """Without it the cell never forgets: the LSTM of 1997, whose cell is kept as it is at every timestep."""
    forget_bias: float | None = Field(
        default=3.0, ge=-10, le=10, json_schema_extra={"only_if": {"forget_gate": [True]}}
    )
    """Start of the forget gates' bias: at 3 a fresh network remembers some 20 timesteps. Empty: near 0."""
    peepholes: bool = Field(default=False, json_schema_extra={"advanced": True})
    """Let the gates see the cell itself, and not only what the cell shows of itself."""

    @property
    def state_size(self) -> int:
        return 2 * super().state_size


class LSTMState(NamedTuple):
    """The output and the memory of each layer."""

    h: tuple[Tensor, ...]
    """(B, H) per layer: what the layer shows to its gates, to the layer above and to the readout."""
    c: tuple[Tensor, ...]
    """(B, H) per layer: the cell, which only the gates may change."""


@lru_cache(maxsize=1)
def _onednn_has_16_bits() -> bool:
    """Whether oneDNN has an LSTM of 16 bits for this processor; without AVX-512 it finds none, and fails."""
    one = nn.LSTM(1, 1)
    try:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            one(torch.zeros(1, 1, 1))
    except RuntimeError:
        return False
    return True


def fused(x: Tensor, *given: Any, **more: Any) -> Any:
    """``torch.lstm``; where oneDNN would be asked for what it lacks, PyTorch's own loop over timesteps."""
    if x.device.type == "cpu" and torch.is_autocast_enabled("cpu") and not _onednn_has_16_bits():
        was_on = torch._C._get_mkldnn_enabled()  # torch.backends.mkldnn.flags sets more than this, and warns
        torch._C._set_mkldnn_enabled(False)
        try:
            return torch.lstm(x, *given, **more)
        finally:
            torch._C._set_mkldnn_enabled(was_on)
    return torch.lstm(x, *given, **more)


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

    With ``peepholes`` (Gers & Schmidhuber 2000, "Recurrent nets that time and count") the arguments of the
    gates gain :math:`p_i \odot c_{t-1}`, :math:`p_f \odot c_{t-1}` and :math:`p_o \odot c_t`. Without a
    ``forget_gate`` :math:`f_t = 1`: the cell of 1997, whose squashing functions (:math:`4\sigma - 2`,
    :math:`2\sigma - 1`) are tanh here. PyTorch has no kernel for these two: their ``forward`` is a loop.

    Deviations from the papers, those of ``torch.nn.LSTM``, whose parameters these are: one cell per gate, and
    the full gradient instead of the 1997 truncated one. The forget gates' biases start at ``forget_bias``: a
    gate of σ(b) forgets with a time constant near e^b timesteps (Gers et al. 2000 start positive; Tallec &
    Ollivier 2018, "Can recurrent neural networks warp time?", derive the size from the lags to be learnt).
    PyTorch's own start, uniform in ±1/√H, is what ``None`` leaves.
    """

    state_type = LSTMState
    kept_by = MappingProxyType({"c": "f"})  # without a forget gate, by none: all is kept
    keeps_at = MappingProxyType({"f": 1.0})
    letters = MappingProxyType(
        {
            "i": Letter("input gate i", LETS_IN),
            "f": Letter("forget gate f", KEEPS),
            "g": Letter("candidate g", OFFERED),
            "o": Letter("output gate o", PASSES_ON),
        }
    )

    def __init__(self, config: LSTMConfig, input_size: int, output_size: int) -> None:
        sizes = config.read_size(input_size), config.hidden_size, config.layers
        order = "ifgo" if config.forget_gate else "igo"  # torch.nn.LSTM's documented one
        self.squashed = {letter: TANH if letter == "g" else SIGMOID for letter in order}
        is_plain = config.forget_gate and not config.peepholes
        super().__init__(
            nn.LSTM(*sizes, batch_first=True) if is_plain else CellWeights(*sizes, blocks=len(self.stacked)),
            config,
            input_size,
            output_size,
        )
        self.kernel = fused if is_plain else None
        reach = config.hidden_size**-0.5
        self.peepholes = nn.ParameterDict(
            {
                f"{gate}{layer}": torch.empty(config.hidden_size).uniform_(-reach, reach)
                for layer in range(config.layers if config.peepholes else 0)
                for gate in self.stacked
                if gate != "g"  # which is no gate: it is what is written
            }
        )
        if config.forget_gate and config.forget_bias is not None:
            self._start_forget_gates_at(config.forget_bias)

    @torch.no_grad()
    def _start_forget_gates_at(self, bias: float) -> None:
        """Give the forget gates' two biases, which are added, ``bias`` in all (Gers et al. 2000)."""
        for layer in range(self.rnn.num_layers):
            for name, start in ((f"bias_ih_l{layer}", bias), (f"bias_hh_l{layer}", 0.0)):
                _, f, _, _ = self.rnn.get_parameter(name).chunk(4)
                f.fill_(start)

    def other_weights(self, layer: int) -> dict[str, Tensor]:
        """The peepholes (H,) of a layer, by gate."""
        return {name[0]: vector for name, vector in self.peepholes.items() if name[1:] == str(layer)}

    def cell(self, a_t: Tensor, previous: LayerState, weights: LayerWeights) -> LayerState:
        h, c = previous
        under = torch.addmm(a_t, h, weights.Ws_T).chunk(len(self.stacked), dim=-1)
        if self.kernel is not None:
            i, f, g, o = under
            c = torch.addcmul(f.sigmoid() * c, i.sigmoid(), g.tanh())
            return o.sigmoid() * c.tanh(), c
        gates, c = self._open(under, c, weights)
        return gates["o"] * c.tanh(), c

    def cell_gates(self, a_t: Tensor, previous: LayerState, weights: LayerWeights) -> dict[str, Tensor]:
        h, c = previous
        under = torch.addmm(a_t, h, weights.Ws_T).chunk(len(self.stacked), dim=-1)
        return self._open(under, c, weights)[0]

    def _open(
        self, under: tuple[Tensor, ...], c: Tensor, weights: LayerWeights
    ) -> tuple[dict[str, Tensor], Tensor]:
        """All gates by name, with g, what is written; and the next c, which the output gate may peep at."""
        before, peepholes = dict(zip(self.stacked, under, strict=True)), weights.others

        def gate(name: str, seen: Tensor) -> Tensor:
            peephole = peepholes.get(name)
            return (before[name] if peephole is None else before[name] + peephole * seen).sigmoid()

        gates = {name: gate(name, c) for name in "if" if name in before} | {"g": before["g"].tanh()}
        c = torch.addcmul(gates["f"] * c if "f" in gates else c, gates["i"], gates["g"])
        return gates | {"o": gate("o", c)}, c

    def sweep(self, a: Tensor, h: Tensor, previous: LayerState, weights: LayerWeights) -> Sweep:
        first_h, c_t = previous
        Ws = weights.Ws_T.t()
        gates = (a + before_each(h, first_h) @ weights.Ws_T).view(*h.shape[:2], 4, -1)  # (T, B, 4, H)
        under_i, under_f, under_g, under_o = gates.unbind(2)
        i, f, g, o = under_i.sigmoid(), under_f.sigmoid(), under_g.tanh(), under_o.sigmoid()
        cells = []
        for f_t, written in zip(f, i * g, strict=True):
            c_t = torch.addcmul(written, f_t, c_t)
            cells.append(c_t)
        c = torch.stack(cells)
        squashed = c.tanh()
        # dc_t times these is the gradient of the terms under i, f and g; dh_t times of_o of that under o
        of_ifg = torch.stack(
            (g * i * (1 - i), before_each(c, previous[1]) * f * (1 - f), i * (1 - g * g)), dim=2
        )
        of_o, c_to_h = squashed * o * (1 - o), o * (1 - squashed * squashed)

        def back(reaching: Tensor) -> tuple[LayerState, Tensor]:
            under = torch.empty_like(gates)  # the gradient of all terms under the gates
            dh = reaching[-1]
            dc = dh * c_to_h[-1]
            of_h, of_c = [dh], [dc]
            steps = zip(under[:, :, :3], of_ifg, under[:, :, 3], of_o, under.flatten(2), strict=True)
            before = zip(reaching[:-1], c_to_h[:-1], f[1:], strict=True)
            for (under_ifg, ifg_t, under_o, o_t, under_t), (reaching_before, c_to_h_before, f_t) in zip(
                reversed(list(steps)[1:]), reversed(list(before)), strict=True
            ):
                torch.mul(ifg_t, dc[:, None], out=under_ifg)
                torch.mul(o_t, dh, out=under_o)
                dh = torch.addmm(reaching_before, under_t, Ws)
                dc = torch.addcmul(dc * f_t, dh, c_to_h_before)
                of_h.append(dh)
                of_c.append(dc)
            torch.mul(of_ifg[0], dc[:, None], out=under[0, :, :3])
            torch.mul(of_o[0], dh, out=under[0, :, 3])
            return (torch.stack(of_h[::-1]), torch.stack(of_c[::-1])), under.flatten(2)

        return back


SPEC = ModelSpec(
    title="LSTM",
    summary="Gates decide what its memory keeps, takes in and shows, so that it can remember for long.",
    group="Gated",
    equations=(
        "i_t = \\sigma(W_{xi} x_t + b_{xi} + W_{si} h_{t-1} + b_{si})\n"
        "f_t = \\sigma(W_{xf} x_t + b_{xf} + W_{sf} h_{t-1} + b_{sf})\n"
        "g_t = \\tanh(W_{xg} x_t + b_{xg} + W_{sg} h_{t-1} + b_{sg})\n"
        "o_t = \\sigma(W_{xo} x_t + b_{xo} + W_{so} h_{t-1} + b_{so})\n"
        "c_t = f_t \\odot c_{t-1} + i_t \\odot g_t\n"
        "h_t = o_t \\odot \\tanh(c_t)\n"
        "y_t = W_y h_t + b_y"
    ),
    source=(
        "Hochreiter & Schmidhuber 1997, Long short-term memory; "
        "forget gate: Gers, Schmidhuber & Cummins 2000, Learning to forget"
    ),
    config=LSTMConfig,
    network=LSTM,
)
