"""The minimal GRU: a gated memory whose gates look at the input alone, so that it needs no loop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from models.base import LETS_IN, OFFERED, Letter, ModelSpec
from models.clamping import LINEAR, SIGMOID, Span, Squashing, before_sigmoid, deafen
from models.layers import LayeredConfig
from models.parallel import ParallelLayer, ParallelNetwork, affine


class MinGRUConfig(LayeredConfig):
    """Settings of a minGRU."""

    keep_bias: float | None = Field(default=3.0, ge=-10, le=10)
    """How firmly a fresh network keeps its state: at 3 it remembers some 20 timesteps. Empty: some 2."""
    candidate: Literal["linear", "positive"] = Field(default="linear", json_schema_extra={"advanced": True})
    """What is written into the state: any number, or only positive ones (the paper's log-space form)."""


class MinGRUState(NamedTuple):
    """The hidden state of each layer."""

    h: tuple[Tensor, ...]
    """(B, H) per layer."""


class _Parts(NamedTuple):
    """The blocks stacked in a layer's weights, in this order."""

    z: Tensor
    """Of the update gate."""
    candidate: Tensor
    """Of the state that is proposed."""


class _Squashed(NamedTuple):
    """What makes each of the parts of its sum, in the same order."""

    z: Squashing
    candidate: Squashing


class MinGRULayer(ParallelLayer):
    """One layer of a minGRU, D or H to H."""

    def __init__(self, config: MinGRUConfig, input_size: int) -> None:
        super().__init__()
        is_positive = config.candidate == "positive"
        self.candidate = _positive if is_positive else _as_it_is
        self.squashed = _Squashed(z=SIGMOID, candidate=_POSITIVE if is_positive else LINEAR)
        self.input = nn.Linear(input_size, len(_Parts._fields) * config.hidden_size)
        if config.keep_bias is not None:
            with torch.no_grad():
                _parts(self.input.bias).z.fill_(-config.keep_bias)

    def recurrence(self, below: Tensor) -> tuple[Tensor, Tensor]:
        z, candidate = self._open(below)
        return 1 - z, z * candidate

    def show(self, h: Tensor, below: Tensor) -> Tensor:
        del below
        return h

    def gates(self, below: Tensor) -> dict[str, Tensor]:
        return {"z": self._open(below).z}

    def roles(self) -> dict[str, Tensor]:
        return {"Wx": self.input.weight}

    def ranges(self) -> dict[str, tuple[float, float]]:
        return {"z": (self.squashed.z.low, self.squashed.z.high)}

    def clampable(self) -> dict[str, Span]:
        held = {**self.squashed._asdict(), "h": self.squashed.candidate}
        return {name: squashing.span(_parts(self.input.bias).z.shape[0]) for name, squashing in held.items()}

    def hold(self, letter: str, units: Sequence[int], value: float) -> None:
        """The gate or the candidate stands still itself, since it no longer listens to the input.

        h does too, exactly and from the first timestep on: z is held at 1, and the candidate at the value.
        """
        if letter == "h":
            self.hold("z", units, 1.0)
            return self.hold("candidate", units, value)
        part = _Parts._fields.index(letter)
        W, b = _parts(self.input.weight)[part], _parts(self.input.bias)[part]
        return deafen(units, [W], [b], self.squashed[part].argument(value))

    def _open(self, below: Tensor) -> _Parts:
        """(..., D) gives the gate, and what it lets in, (..., H) each."""
        W, b = _parts(self.input.weight), _parts(self.input.bias)
        z = affine(below, W.z, b.z).to(b.z.dtype).sigmoid()
        return _Parts(z, self.candidate(affine(below, W.candidate, b.candidate).to(b.z.dtype)))


class MinGRU(ParallelNetwork[MinGRUState]):
    r"""minGRU (Feng et al. 2024, "Were RNNs all we needed?", arXiv 2410.01201).

    .. math::
        z_t = \sigma(W_z x_t + b_z) \\
        \tilde h_t = g(W_h x_t + b_h) \\
        h_t = (1 - z_t) \odot h_{t-1} + z_t \odot \tilde h_t \\
        y_t = W_y h_t + b_y

    A GRU without reset gate whose update gate and candidate no longer see the state. That leaves no Ws: what
    goes back from :math:`h_t` to :math:`h_{t-1}` is :math:`1 - z_t` alone, so that the gradient can fade but
    never grow. :math:`g` is the identity (section 3.1) or that of the paper's log-space form (its
    appendix): :math:`x + 1/2` for :math:`x \ge 0`, :math:`\sigma(x)` below.

    Deviations: the update gates' biases start at ``-keep_bias``, as an LSTM's forget gates' do (see there).
    The scan multiplies where the paper's adds logarithms: :math:`0 < 1 - z_t < 1`, and nothing is ever
    divided by a product of these. The layers stand alone, without the convolutions, normalisation and
    residual links of the paper's larger models.
    """

    state_type = MinGRUState
    keeps_at = MappingProxyType({"z": 0.0})
    letters = MappingProxyType(
        {"z": Letter("update gate z", LETS_IN), "candidate": Letter("candidate h̃", OFFERED)}
    )

    def __init__(self, config: MinGRUConfig, input_size: int, output_size: int) -> None:
        below = [config.read_size(input_size)] + [config.hidden_size] * (config.layers - 1)
        super().__init__([MinGRULayer(config, size) for size in below], config, input_size, output_size)


def _parts(stacked: Tensor) -> _Parts:
    """(2H, ...) by name, (H, ...) each; views."""
    return _Parts(*stacked.chunk(len(_Parts._fields)))


def _as_it_is(x: Tensor) -> Tensor:
    return x


def _positive(x: Tensor) -> Tensor:
    """Positive, increasing and continuous: x + 1/2 from 0 on, σ(x) below."""
    return torch.where(x >= 0, x + 0.5, x.sigmoid())


def _before_positive(value: float) -> float:
    return value - 0.5 if value >= 0.5 else before_sigmoid(value)


_POSITIVE = Squashing(0.0, math.inf, _before_positive)


SPEC = ModelSpec(
    title="minGRU",
    summary="A GRU whose gate looks at the input alone: it can only fade, and is computed without a loop.",
    group="Trained by a parallel scan",
    equations=(
        "z_t = \\sigma(W_z x_t + b_z)\n"
        "\\tilde h_t = g(W_h x_t + b_h)\n"
        "h_t = (1 - z_t) \\odot h_{t-1} + z_t \\odot \\tilde h_t\n"
        "y_t = W_y h_t + b_y"
    ),
    source="Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024, Were RNNs all we needed? (arXiv 2410.01201)",
    config=MinGRUConfig,
    network=MinGRU,
)
