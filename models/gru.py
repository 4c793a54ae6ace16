"""The gated recurrent unit: one state, kept or overwritten by a gate."""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import KEEPS, OFFERED, Letter, ModelSpec
from models.clamping import SIGMOID, TANH
from models.recurrent import (
    LayerState,
    LayerWeights,
    RecurrentConfig,
    RecurrentNetwork,
    Sweep,
    before_each,
)


class GRUConfig(RecurrentConfig):
    """Settings of a GRU."""


class GRUState(NamedTuple):
    """The hidden state of each layer."""

    h: tuple[Tensor, ...]
    """(B, H) per layer."""


class GRU(RecurrentNetwork[GRUState]):
    r"""Gated recurrent unit (Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder").

    .. math::
        r_t = \sigma(W_{xr} x_t + b_{xr} + W_{sr} h_{t-1} + b_{sr}) \\
        z_t = \sigma(W_{xz} x_t + b_{xz} + W_{sz} h_{t-1} + b_{sz}) \\
        n_t = \tanh(W_{xn} x_t + b_{xn} + r_t \odot (W_{sn} h_{t-1} + b_{sn})) \\
        h_t = (1 - z_t) \odot n_t + z_t \odot h_{t-1} \\
        y_t = W_y h_t + b_y

    Deviation from the paper, as in ``torch.nn.GRU``, whose parameters these are: the reset gate comes after
    the product, :math:`r_t \odot (W_{sn} h_{t-1} + b_{sn})`, where the paper has
    :math:`W_{sn} (r_t \odot h_{t-1})`; cuDNN needs it so.
    """

    state_type = GRUState
    kept_by = MappingProxyType({"h": "z"})
    keeps_at = MappingProxyType({"z": 1.0})
    letters = MappingProxyType(
        {
            "r": Letter("reset gate r", "shows the past"),
            "z": Letter("update gate z", KEEPS),
            "n": Letter("candidate n", OFFERED),
        }
    )
    # in torch.nn.GRU's documented order
    squashed = MappingProxyType({"r": SIGMOID, "z": SIGMOID, "n": TANH})
    kernel = staticmethod(torch.gru)

    def __init__(self, config: GRUConfig, input_size: int, output_size: int) -> None:
        rnn = nn.GRU(config.read_size(input_size), config.hidden_size, config.layers, batch_first=True)
        super().__init__(rnn, config, input_size, output_size)

    def drive(self, below: Tensor, weights: LayerWeights) -> Tensor:
        return F.linear(below, weights.Wx, weights.bx)  # bs goes under the reset gate

    def cell(self, a_t: Tensor, previous: LayerState, weights: LayerWeights) -> LayerState:
        (h,) = previous
        xr, xz, xn = a_t.chunk(3, dim=-1)  # torch.nn.GRU's documented order
        sr, sz, sn = torch.addmm(weights.bs, h, weights.Ws_T).chunk(3, dim=-1)
        r, z = (xr + sr).sigmoid(), (xz + sz).sigmoid()
        n = torch.addcmul(xn, r, sn).tanh()
        return (n + z * (h - n),)  # = (1 - z) n + z h, with one product fewer

    def cell_gates(self, a_t: Tensor, previous: LayerState, weights: LayerWeights) -> dict[str, Tensor]:
        xr, xz, xn = a_t.chunk(3, dim=-1)
        sr, sz, sn = torch.addmm(weights.bs, previous[0], weights.Ws_T).chunk(3, dim=-1)
        r = (xr + sr).sigmoid()
        return {"r": r, "z": (xz + sz).sigmoid(), "n": torch.addcmul(xn, r, sn).tanh()}

    def sweep(self, a: Tensor, h: Tensor, previous: LayerState, weights: LayerWeights) -> Sweep:
        h_before = before_each(h, *previous)
        xr, xz, xn = a.chunk(3, dim=-1)
        sr, sz, sn = F.linear(h_before, weights.Ws_T.t(), weights.bs).chunk(3, dim=-1)
        r, z = (xr + sr).sigmoid(), (xz + sz).sigmoid()
        n = torch.addcmul(xn, r, sn).tanh()
        # dh_t times these is the gradient of the terms under r, z and n, and of sn
        of_n = (1 - z) * (1 - n * n)
        of_r, of_z = of_n * sn * r * (1 - r), (h_before - n) * z * (1 - z)
        under_Ws = torch.stack((of_r, of_z, of_n * r), dim=2)  # (T, B, 3, H)
        Ws = weights.Ws_T.t()

        def back(reaching: Tensor) -> tuple[LayerState, Tensor]:
            dh = reaching[-1]
            of_h = [dh]
            steps = zip(under_Ws[1:], z[1:], reaching[:-1], strict=True)
            for under_t, z_t, reaching_before in reversed(list(steps)):
                kept = torch.addcmul(reaching_before, dh, z_t)
                dh = torch.addmm(kept, (under_t * dh[:, None]).flatten(1), Ws)
                of_h.append(dh)
            total = torch.stack(of_h[::-1])
            return (total,), torch.cat((of_r * total, of_z * total, of_n * total), dim=-1)

        return back


SPEC = ModelSpec(
    title="GRU",
    summary="A lighter LSTM: one gate mixes old state and new, another says how much of the past to use.",
    group="Gated",
    equations=(
        "r_t = \\sigma(W_{xr} x_t + b_{xr} + W_{sr} h_{t-1} + b_{sr})\n"
        "z_t = \\sigma(W_{xz} x_t + b_{xz} + W_{sz} h_{t-1} + b_{sz})\n"
        "n_t = \\tanh(W_{xn} x_t + b_{xn} + r_t \\odot (W_{sn} h_{t-1} + b_{sn}))\n"
        "h_t = (1 - z_t) \\odot n_t + z_t \\odot h_{t-1}\n"
        "y_t = W_y h_t + b_y"
    ),
    source=(
        "Cho et al. 2014, Learning phrase representations using RNN encoder-decoder "
        "(with the reset gate after the product, as in PyTorch)"
    ),
    config=GRUConfig,
    network=GRU,
)
