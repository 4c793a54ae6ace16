"""The contract that every network meets.

Axes, everywhere in this package: B (batch), T (time), D (input features), H (hidden units),
O (outputs), L (layers). Tensors are batch-first.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from models.clamping import Span


class NetworkConfig(BaseModel):
    """Settings of one network: frozen, keyword-only, unknown keys refused.

    The docstring under each field becomes its description in the JSON Schema, and so the help text of
    the launch form: write it for a newcomer, with the unit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @property
    def state_size(self) -> int:
        """About how many numbers of hidden state one sequence holds at a timestep, to estimate memory."""
        return 1


class Letter(NamedTuple):
    """What a letter of a network's equations stands for: the same one differs from network to network."""

    name: str
    """With the letter itself: ``"forget gate f"``."""
    does: str = ""
    """To a memory, in a word or two, where the name does not say it: ``"keeps"``."""


OFFERED = "what is offered"
"""What a candidate is to a memory."""
LETS_IN, KEEPS, PASSES_ON = "lets in", "keeps", "passes on"
"""What gates do to it."""


class EmptyState(NamedTuple):
    """The state of a network without memory."""


State = TypeVar("State", bound=NamedTuple)
"""A NamedTuple whose fields (``h``, for an LSTM also ``c``) are tuples of one (B, H) tensor per layer.

One tensor per layer, not one stacked tensor: inside ``step`` the very tensor that is handed to the layer
above is also handed to the next timestep, so that autograd's gradient of it is the *total* derivative.
"""


class Network(nn.Module, ABC, Generic[State]):
    """A network that reads a sequence: state in, state out."""

    input_size: int
    output_size: int
    kept_by: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """For a field of the state whose old value a gate multiplies at each timestep: that gate's letter."""
    keeps_at: ClassVar[Mapping[str, float]] = MappingProxyType({})
    """For the letter of a gate that shares a memory out between old and new: where all of the old stays."""
    mere_units: ClassVar[Mapping[str, frozenset[str]]] = MappingProxyType({})
    """Fields of the state that only say in which unit others are kept, and which: no loss hears of that."""
    letters: ClassVar[Mapping[str, Letter]] = MappingProxyType({})
    """Words for what ``gates`` and ``clampable`` give that is no field of the state; and for Ws where another
    matrix stands in its place."""
    taught: bool = False
    """Whether training calls ``forward_taught``: only a network that reads its own output can be taught."""

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """The all-zero state for ``batch_size`` sequences, on the device and in the dtype of the weights."""

    @abstractmethod
    def forward(self, x: Tensor, state: State | None = None, first: int = 0) -> tuple[Tensor, State]:
        """Read a whole sequence, fast.

        Args:
            x: (B, T, D) inputs.
            state: the state before the first timestep; ``None`` is the initial one.
            first: the first timestep whose output is wanted, 0 to T; those before it are not computed.

        Returns:
            (B, T - first, O) outputs, and the state after the last timestep.
        """

    @abstractmethod
    def step(self, x_t: Tensor, state: State) -> tuple[Tensor, State]:
        """Read one timestep, visibly: (B, D) and a state give (B, O) and the next state.

        Differentiable, in plain tensor operations; ``forward`` equals this unrolled, values and gradients.
        """

    @abstractmethod
    def weight_roles(self) -> dict[str, Tensor]:
        """The weight matrices under the literature's names.

        ``"Wx/0"`` (input to state), ``"Ws/0"`` (state to state), one pair per layer, and ``"Wy"`` (state to
        output), whatever the module calls its parameters. Gated networks keep their gates stacked as
        PyTorch does: (4H, D) for an LSTM.
        """

    def recurrent_matrices(self) -> dict[str, Tensor]:
        """The square matrices by which one timestep's state enters the next one's, each gate's apart.

        Returns:
            (H, H) by layer (``"Ws/0"``) and, where gates are stacked in it, by letter (``"Ws/0/f"``); complex
            for a complex state. Empty for a network whose states meet no square matrix.
        """
        return {}

    def unroll(self, x: Tensor, state: State | None = None) -> tuple[Tensor, list[State]]:
        """``step`` over every timestep of x (B, T, D): (B, T, O) outputs and the T states.

        A network may override this with something quicker (say, one product for all x_t) as long as the
        states returned stay the tensors that the next timestep and the layer above consumed.
        """
        state = self.initial_state(x.shape[0]) if state is None else state
        outputs, states = [], []
        for x_t in x.unbind(1):
            y_t, state = self.step(x_t, state)
            outputs.append(y_t)
            states.append(state)
        return torch.stack(outputs, dim=1), states

    def in_fixed_units(self, state: State) -> State:
        """The same numbers, with gradients by what a state means: its ``mere_units`` are constants.

        A change that reaches a unit reaches what is kept in it instead.
        """
        return state

    def state_gradients(
        self, x: Tensor, state: State | None, loss: Callable[[Tensor], Tensor]
    ) -> dict[str, Tensor]:
        """The *total* derivative of a loss by the state at every timestep: dE/ds_t.

        By autograd over ``unroll``. A network may override this with something quicker that gives the same.

        Args:
            x: (B, T, D) inputs.
            state: the state before the first timestep, taken as a constant; ``None`` is the initial one.
            loss: gives a scalar from the (B, T, O) outputs.

        Returns:
            (T, B, H) gradients by field and layer, ``"h/0"``, …; zero where the loss does not depend on a
            state; empty for a network without memory. Parameters' ``.grad`` is left alone.
        """
        start = self.initial_state(x.shape[0]) if state is None else state
        if next(named_tensors(start), None) is None:
            return {}
        with torch.enable_grad():
            # Gradients are wanted for states only; this gives every state a graph, whatever weights are
            # frozen and however little of it is computed.
            start = map_state(lambda tensor: tensor.detach().requires_grad_(), start)
            outputs, states = self.unroll(x.detach().requires_grad_(), start)
            history = named_history(states)
            wanted = [tensor for tensors in history.values() for tensor in tensors]
            gradients = iter(
                torch.autograd.grad(loss(outputs), wanted, allow_unused=True, materialize_grads=True)
            )
        return {name: torch.stack([next(gradients) for _ in states]) for name in history}

    def forward_taught(self, x: Tensor, state: State, first: int, teacher: Tensor) -> tuple[Tensor, State]:
        """``forward`` with teacher forcing: where it would read its own output, it reads the right one.

        Args:
            x: (B, T, D) inputs.
            state: the state before the first timestep.
            first: as in ``forward``.
            teacher: (B, T, O) the outputs wished for, as the network would read them; NaN where a task wishes
                for none, and the network reads its own.

        Returns:
            As ``forward``, which is what a network that reads no outputs does.
        """
        del teacher
        outputs: tuple[Tensor, State] = self(x, state, first)
        return outputs

    def fed_back(self, outputs: Tensor) -> Tensor:
        """How (..., O) outputs look to a network that reads them again: as they are, or squashed."""
        return outputs

    def gates(self, x: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """How far each gate is open at every timestep, without a graph.

        Args:
            x: (B, T, D) inputs.
            state: the state before the first timestep; ``None`` is the initial one.

        Returns:
            (B, T, H) by gate and layer, under the letters of the network's equations: ``"f/0"``, …; also what
            the gates let in, such as an LSTM's g. Empty for a network without gates.
        """
        del x, state
        return {}

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Between which ends gates and states are squashed, so that near an end little gradient passes.

        Returns:
            Lowest and highest value by gate or field and layer, ``"f/0"``, ``"h/0"``, as ``gates`` and the
            states give them. Those that no function squashes have no entry, though some of them are bounded:
            a GRU's h, say, is a mean of squashed values, and its gradient passes at ±1 too.
        """
        return {}

    def clampable(self) -> dict[str, Span]:
        """What ``clamp`` can hold, by name (``"f/0"``, ``"h/0"``): where, and how many units there are."""
        return {}

    def clamp(self, name: str, units: Sequence[int], value: float) -> None:
        """Change the weights for good so that units stand at a value, for all that reads them.

        What that means for each name, ``hold`` says.

        Args:
            name: one that ``clampable`` has.
            units: which, from 0.
            value: at every timestep; of a state, also as what the first timestep reads.
        """
        can = self.clampable()
        if name not in can:
            raise ValueError(f"name is {name!r}; give one of: {', '.join(can) or '(none)'}")
        span = can[name]
        if not span.has(value):
            raise ValueError(f"value is {value:g}; {name} can be held at {span.words()}")
        if outside := [unit for unit in units if not 0 <= unit < span.units]:
            raise ValueError(f"units has {outside[0]}; {name} has units 0 to {span.units - 1}")
        letter, layer = name.split("/")
        self.hold(letter, int(layer), units, value)

    def hold(self, letter: str, layer: int, units: Sequence[int], value: float) -> None:
        """What ``clamp`` does once it has found that it can be done; a name comes as letter and layer."""
        raise NotImplementedError(f"{type(self).__name__} has what can be held: it needs a `hold`")

    def facts(self) -> dict[str, str]:
        """What a reader should know of this very network beside its size, with units: {} for most."""
        return {}

    def multiplications_per_timestep(self) -> int:
        """Multiplications in the weight matrices for one timestep of one sequence.

        Each weight of a matrix meets one number per timestep; elementwise products are not counted.
        """
        return sum(weight.numel() for weight in self.weight_roles().values())


def named_tensors(state: Any) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a state as ``("h/0", (B, H))``: field, slash, layer."""
    for field, layers in zip(state._fields, state, strict=True):
        for layer, tensor in enumerate(layers):
            yield f"{field}/{layer}", tensor


def named_history(states: Iterable[Any]) -> dict[str, list[Tensor]]:
    """``named_tensors`` of successive states: by name, one (B, H) tensor for each state."""
    history: dict[str, list[Tensor]] = {}
    for state in states:
        for name, tensor in named_tensors(state):
            history.setdefault(name, []).append(tensor)
    return history


def from_named_tensors(like: State, tensors: dict[str, Tensor]) -> State:
    """The state that ``named_tensors`` took apart, with the fields, layers and device of ``like``."""
    named = {name: tensors[name].to(old.device) for name, old in named_tensors(like)}
    return type(like)(  # type: ignore[call-overload, no-any-return]
        *(
            tuple(named[f"{field}/{layer}"] for layer in range(len(layers)))
            for field, layers in zip(like._fields, like, strict=True)
        )
    )


def map_state(function: Any, state: State) -> State:
    """The state with ``function`` applied to each of its tensors."""
    kind: Any = type(state)
    mapped: State = kind(*(tuple(function(tensor) for tensor in layers) for layers in state))
    return mapped


def detach(state: State) -> State:
    """The same values, cut from the graph that made them."""
    return map_state(Tensor.detach, state)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A registry entry: the network, its settings, and what a reader of the catalogue is told."""

    title: str
    """The name as the literature writes it."""
    summary: str
    """One line for the launch form."""
    group: str = ""
    """Heading under which the launch form offers it, beside others of its kind."""
    equations: str
    """LaTeX, one equation a line."""
    source: str
    """Author, year, title."""
    config: type[NetworkConfig]
    network: type[Network[Any]]
    """Built as ``network(config, input_size, output_size)``."""

    @property
    def keeps_state(self) -> bool:
        """Whether the network carries anything from one timestep to the next."""
        with torch.device("meta"):  # allocates nothing
            network = self.network(self.config(), 1, 1)
            return next(named_tensors(network.initial_state(1)), None) is not None

    def build(self, config: NetworkConfig, input_size: int, output_size: int, seed: int) -> Network[Any]:
        """The network with weights drawn from ``seed`` alone; the global generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every GPU as well
            return self.network(config, input_size, output_size)
