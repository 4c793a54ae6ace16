"""The feed-forward network: no memory at all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from types import MappingProxyType

from torch import Tensor, nn
from torch.nn import functional as F

from models.activations import ACTIVATIONS, ActivationName
from models.base import EmptyState, Letter, ModelSpec, Network
from models.clamping import LINEAR, Span, speak_for
from models.layers import LayeredConfig, embedding


class FFNNConfig(LayeredConfig):
    """Settings of a feed-forward network."""

    activation: ActivationName = "tanh"
    """What a unit makes of its sum: tanh (-1 to 1), sigmoid (0 to 1), relu (0 and up), or linear: the sum."""


class FFNN(Network[EmptyState]):
    r"""Multilayer perceptron, applied to each timestep on its own.

    Rumelhart, Hinton & Williams 1986, "Learning representations by back-propagating errors", Nature 323.

    .. math::
        h^1_t = \phi(W^1_x x_t + b^1) \\
        h^l_t = \phi(W^l_x h^{l-1}_t + b^l), \quad l = 2 \dots L \\
        y_t = W_y h^L_t + b_y

    with :math:`\phi` = tanh, sigmoid, relu or the identity. It sees one timestep and keeps nothing, so a task
    whose target depends on an earlier one holds it at chance: the yardstick for what memory is worth.
    Deviation from the paper: its units are logistic, the output's too; here the output is linear and the
    task's loss does the rest.
    """

    letters = MappingProxyType({"h": Letter("hidden units h")})

    def __init__(self, config: FFNNConfig, input_size: int, output_size: int) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, output_size
        self.embedding = embedding(config, input_size)
        widths = [config.read_size(input_size)] + [config.hidden_size] * config.layers
        self.hidden: list[nn.Linear] = nn.ModuleList(  # type: ignore[assignment] # says nothing of its contents
            nn.Linear(below, above) for below, above in pairwise(widths)
        )
        self.readout = nn.Linear(config.hidden_size, output_size)
        self.activation = ACTIVATIONS[config.activation].function
        self.dropout = config.dropout

    def initial_state(self, batch_size: int) -> EmptyState:
        del batch_size
        return EmptyState()

    def forward(
        self, x: Tensor, state: EmptyState | None = None, first: int = 0
    ) -> tuple[Tensor, EmptyState]:
        del state
        return self._read(x[:, first:]), EmptyState()

    def step(self, x_t: Tensor, state: EmptyState) -> tuple[Tensor, EmptyState]:
        return self._read(x_t), state

    def weight_roles(self) -> dict[str, Tensor]:
        roles = {"We": self.embedding.weight} if isinstance(self.embedding, nn.Linear) else {}
        roles |= {f"Wx/{layer}": linear.weight for layer, linear in enumerate(self.hidden)}
        return {**roles, "Wy": self.readout.weight}

    def clampable(self) -> dict[str, Span]:
        return {f"h/{layer}": LINEAR.span(linear.out_features) for layer, linear in enumerate(self.hidden)}

    def hold(self, letter: str, layer: int, units: Sequence[int], value: float) -> None:
        """h is held as the layer above hears it, or the readout."""
        del letter
        reader = [*self.hidden, self.readout][layer + 1]
        speak_for(units, reader.weight, reader.bias, value)

    def facts(self) -> dict[str, str]:
        return {"Receptive field": "1 timestep: each output sees the input of its own timestep alone"}

    def _read(self, x: Tensor) -> Tensor:
        """(..., D) gives (..., O)."""
        below = self.embedding(x)
        for layer, linear in enumerate(self.hidden):
            if layer and self.dropout:
                below = F.dropout(below, self.dropout, self.training)
            below = self.activation(linear(below))
        outputs: Tensor = self.readout(below)
        return outputs


SPEC = ModelSpec(
    title="Feed-forward network (FFNN)",
    summary="No memory: it answers each timestep from that timestep's input alone.",
    group="Without recurrence",
    equations=(
        "h^1_t = \\phi(W^1_x x_t + b^1), \\quad"
        " \\phi \\in \\{\\tanh, \\sigma, \\operatorname{relu}, \\operatorname{id}\\}\n"
        "h^l_t = \\phi(W^l_x h^{l-1}_t + b^l), \\quad l = 2 \\dots L\n"
        "y_t = W_y h^L_t + b_y"
    ),
    source="Rumelhart, Hinton & Williams 1986, Learning representations by back-propagating errors",
    config=FFNNConfig,
    network=FFNN,
)
