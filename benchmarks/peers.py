"""Plain PyTorch modules to train in the bare loop: what anybody would write for a network in PyTorch.

Sizes are arguments; all else is as the network's default settings are. Where ``torch.nn`` has the network it
is taken from there. The two that have a parallel form take the quickest one that a few lines can say, the
closed form by running sums: it divides by products of the factors, so it would not do for long sequences, but
at the length of this measurement it is right.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Recurrent(nn.Module):
    """A module of torch.nn under a linear readout."""

    def __init__(
        self, kind: type[nn.RNN | nn.LSTM | nn.GRU], input_size: int, hidden_size: int, output_size: int
    ) -> None:
        super().__init__()
        self.rnn = kind(input_size, hidden_size, batch_first=True)
        self.readout = nn.Linear(hidden_size, output_size)

    def forward(self, x: Tensor, first: int) -> Tensor:
        hidden, _ = self.rnn(x)
        outputs: Tensor = self.readout(hidden[:, first:])
        return outputs


class FeedForward(nn.Module):
    """Two linear layers, on the timesteps that are asked for."""

    def __init__(self, input_size: int, hidden_size: int, output_size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(input_size, hidden_size), nn.Tanh(), nn.Linear(hidden_size, output_size)
        )

    def forward(self, x: Tensor, first: int) -> Tensor:
        outputs: Tensor = self.layers(x[:, first:])
        return outputs


class TimeDelay(nn.Module):
    """Two convolutions, padded on the left, of as many taps as ours have by default."""

    def __init__(self, input_size: int, hidden_size: int, output_size: int) -> None:
        super().__init__()
        self.hidden = nn.Conv1d(input_size, hidden_size, 3)
        self.readout = nn.Conv1d(hidden_size, output_size, 5)

    def forward(self, x: Tensor, first: int) -> Tensor:
        hidden = torch.tanh(self.hidden(F.pad(x.transpose(1, 2), (2, 0))))
        outputs: Tensor = self.readout(F.pad(hidden, (4, 0)))
        return outputs[:, :, first:].transpose(1, 2)


class OutputFeedback(nn.Module):
    """A Jordan network as a loop over its equations."""

    def __init__(self, input_size: int, hidden_size: int, output_size: int) -> None:
        super().__init__()
        self.input = nn.Linear(input_size, hidden_size)
        self.context = nn.Linear(output_size, hidden_size, bias=False)
        self.readout = nn.Linear(hidden_size, output_size)

    def forward(self, x: Tensor, first: int) -> Tensor:
        s = fed_back = x.new_zeros(x.shape[0], self.readout.out_features)
        outputs = []
        for a_t in self.input(x).unbind(1):
            s = 0.5 * s + fed_back
            y_t = self.readout(torch.tanh(a_t + self.context(s)))
            fed_back = torch.sigmoid(y_t)
            outputs.append(y_t)
        return torch.stack(outputs[first:], dim=1)


class MinGRU(nn.Module):
    """h_t = A_t Σ_s z_s h̃_s / A_s with A_t the product of the 1 − z up to t."""

    def __init__(self, input_size: int, hidden_size: int, output_size: int) -> None:
        super().__init__()
        self.readout = nn.Linear(hidden_size, output_size)
        self.gate = nn.Linear(input_size, hidden_size)
        self.candidate = nn.Linear(input_size, hidden_size)
        nn.init.constant_(self.gate.bias, -3)

    def forward(self, x: Tensor, first: int) -> Tensor:
        z = self.gate(x).sigmoid()
        kept = (1 - z).cumprod(dim=1)
        h = kept * (z * self.candidate(x) / kept).cumsum(dim=1)
        outputs: Tensor = self.readout(h[:, first:])
        return outputs


class LRULayer(nn.Module):
    """h_t = λᵗ Σ_s λ⁻ˢ γ B u_s, in PyTorch's own complex numbers."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        size = (0.81 + torch.rand(hidden_size) * (0.999**2 - 0.81)).sqrt()
        self.nu = nn.Parameter((-size.log()).log())
        self.theta = nn.Parameter((6.28 * torch.rand(hidden_size)).log())
        self.gamma = nn.Parameter((1 - size**2).sqrt().log())
        self.B = nn.Parameter(torch.randn(input_size, hidden_size, dtype=torch.complex64) / input_size**0.5)
        self.C = nn.Parameter(torch.randn(hidden_size, hidden_size, dtype=torch.complex64) / hidden_size**0.5)
        self.D = nn.Parameter(torch.randn(input_size, hidden_size) / input_size**0.5)

    def forward(self, x: Tensor) -> Tensor:
        written = x.to(self.B.dtype) @ (self.gamma.exp() * self.B)
        exponent = torch.complex(-self.nu.exp(), self.theta.exp())
        powers = (torch.arange(x.shape[1])[:, None] * exponent).exp()
        h = powers * (written / powers).cumsum(dim=1)
        return F.gelu((h @ self.C).real + x @ self.D)


class LRU(nn.Module):
    """Two layers under a linear readout."""

    def __init__(self, input_size: int, hidden_size: int, output_size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(LRULayer(input_size, hidden_size), LRULayer(hidden_size, hidden_size))
        self.readout = nn.Linear(hidden_size, output_size)

    def forward(self, x: Tensor, first: int) -> Tensor:
        outputs: Tensor = self.readout(self.layers(x)[:, first:])
        return outputs


class SLSTM(nn.Module):
    """A loop over the stabilised cell; the input's products before it, for all timesteps at once."""

    def __init__(self, input_size: int, hidden_size: int, output_size: int) -> None:
        super().__init__()
        self.readout = nn.Linear(hidden_size, output_size)
        self.input = nn.Linear(input_size, 4 * hidden_size)
        self.state = nn.Linear(hidden_size, 4 * hidden_size)

    def forward(self, x: Tensor, first: int) -> Tensor:
        h = c = n = m = x.new_zeros(x.shape[0], self.readout.in_features)
        states = []
        for t, a_t in enumerate(self.input(x).unbind(1)):
            i, f, z, o = (a_t + self.state(h)).chunk(4, dim=1)
            kept = F.logsigmoid(f) + m
            m = torch.maximum(kept, i) if t else i
            i, f = (i - m).exp(), (kept - m).exp()
            c = f * c + i * z.tanh()
            n = f * n + i
            h = o.sigmoid() * c / n
            states.append(h)
        outputs: Tensor = self.readout(torch.stack(states[first:], dim=1))
        return outputs


PEERS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "lstm": partial(Recurrent, nn.LSTM),
    "gru": partial(Recurrent, nn.GRU),
    "elman": partial(Recurrent, nn.RNN),
    "jordan": OutputFeedback,
    "tdnn": TimeDelay,
    "ffnn": FeedForward,
    "mingru": MinGRU,
    "lru": LRU,
    "slstm": SLSTM,
}
"""By name, built as ``peer(input_size, hidden_size, output_size)``.

``peer(x, first)`` gives the (B, T - first, O) outputs from timestep ``first`` on.
"""
