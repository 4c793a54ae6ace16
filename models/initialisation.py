"""How the weights of a recurrent layer start: the choices of the literature.

H: hidden units. A gated layer stacks one H by H block for each gate in its Ws; each is started on its own.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Start = Literal["pytorch", "orthogonal", "identity", "sigmoid", "basic_tanh", "smart_tanh"]

LARGEST_FOR_EIGENVALUES = 512
"""Hidden units for which the eigenvalues of Ws are still found in well under a second."""
_NON_ZEROS = 15
_SMART_RADIUS = 0.95


@torch.no_grad()
def start_weights(start: Start, Wx: Tensor, Ws: Tensor, Wy: Tensor | None, biases: list[Tensor]) -> None:
    """Start one layer in place.

    - ``pytorch``: as it is, uniform in ±1/√H.
    - ``orthogonal``: Ws orthogonal (Saxe, McClelland & Ganguli 2014), the rest as PyTorch has it.
    - ``identity``: Ws the identity, Wx normal with standard deviation .001, biases 0 (IRNN; Le, Jaitly &
      Hinton 2015).
    - ``sigmoid``, ``basic_tanh``, ``smart_tanh``: the three of Pascanu, Mikolov & Bengio 2013. All weights
      normal with standard deviation .01, or .1; or Wx and Wy .01, and Ws with 15 entries other than 0 in each
      row, scaled to a spectral radius of .95. Biases 0.

    Args:
        start: which.
        Wx: (G·H, D) input to state.
        Ws: (G·H, H) state to state.
        Wy: (O, H) state to output, for the layer that has it.
        biases: of the layer, and of the output where Wy is given.
    """
    if start == "pytorch":
        return
    if start == "orthogonal":
        for block in blocks(Ws):
            nn.init.orthogonal_(block)
        return
    for bias in biases:
        bias.zero_()
    if start == "identity":
        Wx.normal_(std=0.001)
        for block in blocks(Ws):
            nn.init.eye_(block)
        return
    for matrix in (Wx, Ws, *(() if Wy is None else (Wy,))):
        matrix.normal_(std=0.1 if start == "basic_tanh" else 0.01)
    if start == "smart_tanh":
        for block in blocks(Ws):
            _sparse_(block)
            scale_to_radius_(block, _SMART_RADIUS)


@torch.no_grad()
def scale_to_radius_(Ws: Tensor, radius: float) -> None:
    """Multiply each (H, H) block of Ws so that its spectral radius, the largest |eigenvalue|, is ``radius``.

    A block whose eigenvalues are all 0 stays as it is.
    """
    for block in blocks(Ws):
        largest = torch.linalg.eigvals(block.double()).abs().max()
        block.mul_(torch.where(largest > 0, radius / largest, 1.0).to(block.dtype))


def blocks(Ws: Tensor) -> tuple[Tensor, ...]:
    """The (H, H) blocks stacked in (G·H, H), as views."""
    return Ws.tensor_split(Ws.shape[0] // Ws.shape[1])


def _sparse_(block: Tensor) -> None:
    """Standard normal numbers at 15 random places of each row, 0 elsewhere; a smaller layer has no zeros."""
    hidden = block.shape[1]
    kept = torch.rand_like(block).argsort(dim=1)[:, : min(_NON_ZEROS, hidden)]
    values = torch.randn_like(block).gather(1, kept)
    block.zero_().scatter_(1, kept, values)
