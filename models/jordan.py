"""The Jordan network: the output feeds back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from pydantic import Field, JsonValue
from torch import Tensor, nn
from torch.nn import functional as F

from models.activations import ACTIVATIONS, RANGES, ActivationName
from models.base import Letter, ModelSpec, Network, NetworkConfig
from models.clamping import LINEAR, Span, speak_for

_TAUGHT: list[JsonValue] = [
    {"training.loss_at": ["task"], "task.asks_once": False},
    {"training.loss_at": ["all"]},
    {"training.loss_at": ["last"], "training.carry_state": True, "task.streaming": True},
]
"""Where a right answer is known before the last output, or carried from one batch of a stream to the next."""


class JordanConfig(NetworkConfig):
    """Settings of a Jordan network."""

    hidden_size: int = Field(default=64, ge=1, le=2048)
    """Units in the hidden layer, H. They carry nothing through time; only the outputs do."""
    activation: ActivationName = "tanh"
    """What a unit makes of its sum: tanh (-1 to 1), sigmoid (0 to 1), relu (0 and up), or linear: the sum."""
    decay: float = Field(default=0.5, title="Self-decay α", ge=0, lt=1)
    """How much of the state is kept from one timestep to the next; 0 remembers the last output alone."""
    feedback: Literal["sigmoid", "tanh", "softmax", "linear"] = "sigmoid"
    """How an output is squashed before it is fed back. Softmax suits tasks that choose one symbol; linear
    feeds back the output itself, for tasks that predict a number."""
    teacher_forcing: bool = Field(default=False, json_schema_extra={"only_if": _TAUGHT})
    """While training, feed back the right output where the task has one; else, and in every test, its own."""

    @property
    def state_size(self) -> int:
        return self.hidden_size


class JordanState(NamedTuple):
    """The state units, and what will feed them."""

    s: tuple[Tensor, ...]
    """(B, O), one layer: the state units, as the hidden layer reads them at this timestep."""
    y: tuple[Tensor, ...]
    """(B, O), one layer: this timestep's output as it is fed back at the next."""


class Jordan(Network[JordanState]):
    r"""Jordan network: state units that follow the outputs.

    Jordan 1986, "Serial order: a parallel distributed processing approach", ICS report 8604, University of
    California, San Diego.

    .. math::
        s_t = \alpha s_{t-1} + \hat y_{t-1}, \quad \hat y_t = f(y_t) \\
        h_t = \phi(W_x x_t + W_s s_t + b) \\
        y_t = W_y h_t + b_y

    with s and ŷ zero before the first timestep. The state has as many numbers as there are outputs, so all
    that is to be remembered must be said aloud. With teacher forcing, training reads for ŷ the right output
    wherever the task has one: of a symbol its one-hot code, of a number f of that, as ŷ is in every test. No
    gradient passes through that. Deviations from the paper: its outputs are logistic; here y is linear, for
    the task's loss, and f squashes what is fed back.
    """

    letters = MappingProxyType({"h": Letter("hidden units h")})

    def __init__(self, config: JordanConfig, input_size: int, output_size: int) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, output_size
        self.input = nn.Linear(input_size, config.hidden_size)
        self.context = nn.Linear(output_size, config.hidden_size, bias=False)
        self.readout = nn.Linear(config.hidden_size, output_size)
        self.activation = ACTIVATIONS[config.activation].function
        self.feedback = _FEEDBACK[config.feedback]
        self.range = RANGES.get(config.feedback)  # softmax has none: of many symbols all shares are small
        self.decay = config.decay
        self.taught = config.teacher_forcing

    def initial_state(self, batch_size: int) -> JordanState:
        zeros = self.readout.weight.new_zeros(batch_size, self.output_size)
        return JordanState((zeros,), (zeros.clone(),))

    def forward(
        self, x: Tensor, state: JordanState | None = None, first: int = 0
    ) -> tuple[Tensor, JordanState]:
        outputs, states = self._loop(x, state)
        return self._wanted(outputs, first), states[-1]

    def step(self, x_t: Tensor, state: JordanState) -> tuple[Tensor, JordanState]:
        return self._advance(self.input(x_t), state)

    def unroll(self, x: Tensor, state: JordanState | None = None) -> tuple[Tensor, list[JordanState]]:
        """One product drives all timesteps."""
        outputs, states = self._loop(x, state)
        return torch.stack(outputs, dim=1), states

    def forward_taught(
        self, x: Tensor, state: JordanState, first: int, teacher: Tensor
    ) -> tuple[Tensor, JordanState]:
        outputs, states = self._loop(x, state, teacher)
        return self._wanted(outputs, first), states[-1]

    def fed_back(self, outputs: Tensor) -> Tensor:
        return self.feedback(outputs)

    def weight_roles(self) -> dict[str, Tensor]:
        return {"Wx/0": self.input.weight, "Ws/0": self.context.weight, "Wy": self.readout.weight}

    def ranges(self) -> dict[str, tuple[float, float]]:
        return {} if self.range is None else {"y/0": self.range}

    def clampable(self) -> dict[str, Span]:
        return {"s/0": LINEAR.span(self.output_size), "h/0": LINEAR.span(self.readout.in_features)}

    def hold(self, letter: str, layer: int, units: Sequence[int], value: float) -> None:
        """s is held as the hidden layer hears it, h as the readout does.

        The state units themselves go on following the outputs, unheard where s is held.
        """
        del layer
        if letter == "s":
            return speak_for(units, self.context.weight, self.input.bias, value)
        return speak_for(units, self.readout.weight, self.readout.bias, value)

    def _advance(self, a_t: Tensor, state: JordanState) -> tuple[Tensor, JordanState]:
        """One timestep, from a_t = Wx x_t + b (B, H)."""
        (s,), (fed,) = state
        s = torch.add(fed, s, alpha=self.decay)
        y_t = self.readout(self.activation(torch.addmm(a_t, s, self.context.weight.t())))
        return y_t, JordanState((s,), (self.feedback(y_t),))

    def _loop(
        self, x: Tensor, state: JordanState | None, teacher: Tensor | None = None
    ) -> tuple[list[Tensor], list[JordanState]]:
        """The T outputs and states; a ``teacher`` (B, T, O) is fed back where it is not NaN."""
        state = self.initial_state(x.shape[0]) if state is None else state
        outputs, states = [], []
        for t, a_t in enumerate(self.input(x).unbind(1)):
            y_t, state = self._advance(a_t, state)
            if teacher is not None:
                right = teacher[:, t]
                state = state._replace(y=(torch.where(right.isnan(), state.y[0], right),))
            outputs.append(y_t)
            states.append(state)
        return outputs, states

    def _wanted(self, outputs: list[Tensor], first: int) -> Tensor:
        """(B, T - first, O)"""
        if first == len(outputs):
            return outputs[0].new_empty(outputs[0].shape[0], 0, self.output_size)
        return torch.stack(outputs[first:], dim=1)


_FEEDBACK: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softmax": lambda y: F.softmax(y, dim=-1),
    "linear": lambda y: y,
}

SPEC = ModelSpec(
    title="Jordan network",
    summary="Its memory is what it has said: a fading trace of its own outputs feeds back.",
    group="Plain recurrent",
    equations=(
        "s_t = \\alpha s_{t-1} + \\hat y_{t-1}, \\quad \\hat y_t = f(y_t),"
        " \\quad f \\in \\{\\sigma, \\tanh, \\operatorname{softmax}, \\operatorname{id}\\}\n"
        "h_t = \\phi(W_x x_t + W_s s_t + b), \\quad"
        " \\phi \\in \\{\\tanh, \\sigma, \\operatorname{relu}, \\operatorname{id}\\}\n"
        "y_t = W_y h_t + b_y"
    ),
    source="Jordan 1986, Serial order: a parallel distributed processing approach",
    config=JordanConfig,
    network=Jordan,
)
