"""The linear recurrent unit: a memory of decaying rotations, with all that is nonlinear outside of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import MappingProxyType
from typing import NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Letter, ModelSpec
from models.clamping import Span, deafen, speak_for
from models.layers import LayeredConfig
from models.parallel import ParallelLayer, ParallelNetwork, affine


class LRUConfig(LayeredConfig):
    """Settings of an LRU."""

    layers: int = Field(default=2, ge=1, le=8)
    """Layers, each one reading what the one below shows. One alone cannot weigh an input by another."""
    ring_min: float = Field(default=0.9, ge=0, lt=1)
    """Smallest size of an eigenvalue at the start: 0.9 forgets within some 10 timesteps."""
    ring_max: float = Field(default=0.999, gt=0, le=1)
    """Largest size of an eigenvalue at the start: 0.999 remembers for some 1,000 timesteps."""
    max_phase: float = Field(default=6.28, gt=0, le=6.2832, json_schema_extra={"advanced": True})
    """Largest turn of a unit's state per timestep at the start, in radians; small ones suit slow signals."""

    @property
    def state_size(self) -> int:
        return len(LRUState._fields) * super().state_size

    @model_validator(mode="after")
    def _ring_has_an_inside(self) -> Self:
        if self.ring_min > self.ring_max:
            raise ValueError(
                f"ring_min is {self.ring_min:g} and ring_max is {self.ring_max:g}: the smallest size of an "
                "eigenvalue cannot be above the largest; lower ring_min or raise ring_max"
            )
        return self


class LRUState(NamedTuple):
    """The complex state of each layer, as two real tensors."""

    re: tuple[Tensor, ...]
    """(B, H) per layer: the real part."""
    im: tuple[Tensor, ...]
    """(B, H) per layer: the imaginary part."""


class LRULayer(ParallelLayer):
    """One layer of an LRU, D or H to H.

    Complex matrices are kept as real ones with real and imaginary parts side by side, so that a product with
    them is one real product and its result is a complex number in memory.
    """

    def __init__(self, config: LRUConfig, input_size: int) -> None:
        super().__init__()
        hidden = config.hidden_size
        tiny = torch.finfo(torch.float32).eps  # keeps the logarithms finite
        low, high = config.ring_min**2, config.ring_max**2
        # In double precision: a size may be nearer to 1 than single precision can say, its logarithm not.
        squared_size = low + torch.rand(hidden).double().clamp(tiny, 1 - tiny) * (high - low)
        self.nu = nn.Parameter(torch.log(-0.5 * squared_size.log()).float())
        """(H,) log of the decay per timestep."""
        self.theta = nn.Parameter(torch.log(config.max_phase * torch.rand(hidden).clamp(min=tiny)))
        """(H,) log of the turn per timestep."""
        self.gamma = nn.Parameter(0.5 * torch.log(-torch.expm1(-2 * self.nu.detach().exp())))
        """(H,) log of the scale of what is written, √(1 − |λ|²) at the start."""
        self.B = nn.Parameter(torch.randn(2 * hidden, input_size) / math.sqrt(2 * input_size))
        """(2H, D): Re B_1, Im B_1, Re B_2, …, row by row."""
        self.C = nn.Parameter(torch.randn(hidden, 2 * hidden) / math.sqrt(hidden))
        """(H, 2H): Re C_1, −Im C_1, Re C_2, …, column by column."""
        self.D = nn.Parameter(torch.randn(hidden, input_size) / math.sqrt(input_size))
        """(H, D)"""

    def eigenvalues(self) -> Tensor:
        """(H,) complex."""
        return torch.polar((-self.nu.exp()).exp(), self.theta.exp())

    def recurrence(self, below: Tensor) -> tuple[Tensor, Tensor]:
        # γ scales the weights rather than the products: there are fewer of them.
        scale = self.gamma.exp().repeat_interleave(2)[:, None]
        written = affine(below, scale * self.B).to(self.B.dtype)  # (..., 2H)
        return self.eigenvalues(), torch.view_as_complex(written.view(*written.shape[:-1], -1, 2))

    def show(self, h: Tensor, below: Tensor) -> Tensor:
        return F.gelu(F.linear(torch.view_as_real(h).flatten(-2), self.C) + affine(below, self.D))

    def roles(self) -> dict[str, Tensor]:
        return {"Wx": self.B, "C": self.C, "D": self.D}

    def clampable(self) -> dict[str, Span]:
        return {"h": Span(0.0, 0.0, self.C.shape[0])}

    def hold(self, letter: str, units: Sequence[int], value: float) -> None:
        """h is held at 0, both parts of it: nothing is written any more, and what was there is not read.

        No other value stands still: a layer has no biases, and what is in h fades.
        """
        del letter
        parts = [2 * unit + part for unit in units for part in (0, 1)]
        deafen(parts, [self.B], [], value)
        speak_for(parts, self.C, None, value)

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        return torch.complex(*parts)

    def split(self, h: Tensor) -> tuple[Tensor, ...]:
        return h.real, h.imag


class LRU(ParallelNetwork[LRUState]):
    r"""Linear recurrent unit.

    Orvieto et al. 2023, "Resurrecting recurrent neural networks for long sequences", arXiv 2303.06349.

    .. math::
        \lambda = \exp(-\exp(\nu) + i \exp(\theta)) \\
        h_t = \lambda \odot h_{t-1} + \exp(\gamma) \odot B u_t \\
        v_t = \mathrm{GELU}(\mathrm{Re}(C h_t) + D u_t) \\
        y_t = W_y v_t + b_y

    with complex :math:`h_t, B, C` and :math:`u_t` the input, or :math:`v_t` of the layer below. The double
    exponential keeps :math:`|\lambda| < 1`: the state cannot explode. At the start :math:`\lambda` is uniform
    on the ring ``ring_min`` to ``ring_max`` with phases up to ``max_phase`` (lemma 3.2), and
    :math:`\exp(\gamma) = \sqrt{1 - |\lambda|^2}` (section 3.4).

    The recurrence is diagonal: there is no matrix Ws, and :math:`\lambda` are the eigenvalues themselves. B
    has the role Wx; C and D keep their own names.

    Deviations: the paper's blocks put normalisation, a gated linear unit and a residual link around each
    layer; here it is the GELU alone, without which layers would merge into one. D is a matrix, since the
    sizes of input and output differ in the first layer. The ring starts narrow and near 1, where the paper's
    own default is the whole disc.

    One layer adds up its inputs with fixed weights, whatever they say: it cannot learn, say, to add only the
    numbers that are marked. What is nonlinear lies between layers, hence two by default.
    """

    state_type = LRUState
    letters = MappingProxyType({"h": Letter("hidden state h", "both its parts"), "Ws": Letter("diag(λ)")})

    def __init__(self, config: LRUConfig, input_size: int, output_size: int) -> None:
        below = [config.read_size(input_size)] + [config.hidden_size] * (config.layers - 1)
        super().__init__([LRULayer(config, size) for size in below], config, input_size, output_size)

    def recurrent_matrices(self) -> dict[str, Tensor]:
        """diag(λ), in place of the Ws that there is not."""
        return {
            f"Ws/{number}": torch.diag(layer.eigenvalues())  # type: ignore[operator]
            for number, layer in enumerate(self.layers)
        }

    def facts(self) -> dict[str, str]:
        decays = torch.cat([layer.nu.detach().exp() for layer in self.layers])  # type: ignore[operator]
        halved = math.log(2) / decays
        return {"State halves in": f"{halved.min():.3g} to {halved.max():.3g} timesteps, by unit"}


SPEC = ModelSpec(
    title="LRU",
    summary="Each unit only turns and fades at a pace of its own; layers of such memories need no loop.",
    group="Trained by a parallel scan",
    equations=(
        "\\lambda = \\exp(-\\exp(\\nu) + i \\exp(\\theta))\n"
        "h_t = \\lambda \\odot h_{t-1} + \\exp(\\gamma) \\odot B x_t\n"
        "v_t = \\mathrm{GELU}(\\mathrm{Re}(C h_t) + D x_t)\n"
        "y_t = W_y v_t + b_y"
    ),
    source=(
        "Orvieto, Smith, Gu, Fernando, Gulcehre, Pascanu & De 2023, Resurrecting recurrent neural networks "
        "for long sequences (arXiv 2303.06349)"
    ),
    config=LRUConfig,
    network=LRU,
)
