"""The sentences of a diagnosis, made of numbers that are known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.trainer.inspection.making import ADDING, TEXT, Trained, config_of, lstm, trained
from trainer.inspection.base import Recorded, Subject
from trainer.inspection.child import Question, subject_of
from trainer.inspection.diagnosis import DiagnosisSettings, compute
from trainer.inspection.fading import course
from trainer.schema import DiagnosisView, Series, VectorSeries, percent

ELMAN = {"name": "elman", "hidden_size": 5}
ADDING_30 = {"name": "adding", "length": 30}
Norms = list[float | None]


def subject_with(recorded: Recorded, run: Trained, step: int | None) -> Subject:
    question = Question(
        view="diagnosis",
        settings={},
        config=run.config,
        step=step,
        checkpoint=None if step is None else run.data,
        recorded=recorded,
    )
    return subject_of(question)


def flat(values: list[float | None], flag: Any = None) -> Series:
    places = list(range(1, len(values) + 1))
    flags = {step: flag for step, value in zip(places, values, strict=True) if value is None and flag}
    zeros = [0.0] * len(values)
    return Series(step=places, value=values, seconds=zeros, sequences=zeros, flag=flags)


def diagnosed(
    run: Trained, *, checkpoint: bool = True, metrics: dict[str, Series] | None = None, **norms: Norms
) -> DiagnosisView:
    """Of the newest recordings by state, ``h_0``."""
    vectors = {
        name.replace("_", "/"): VectorSeries(steps=[0, 50], norms=[[1.0] * len(each), each])
        for name, each in norms.items()
    }
    recorded = Recorded(vectors=vectors, metrics=metrics or {})
    return compute(subject_with(recorded, run, run.step if checkpoint else None), DiagnosisSettings())


def words(view: DiagnosisView) -> str:
    return " ".join(view.sentences)


def decaying(factor: float, length: int) -> Norms:
    return [factor ** (length - 1 - t) for t in range(length)]


def length_of(run: Trained) -> int:
    return run.rebuilt()[2].length


def test_vanishing_radius_and_clipping_are_told_from_the_numbers() -> None:
    run = trained(ELMAN, ADDING_30)
    metrics = {"clipped": flat([1.0, 1.0, 0.0, 1.0, None])}
    view = diagnosed(run, metrics=metrics, h_0=decaying(0.25, length_of(run)))
    assert "it has vanished" in words(view)
    assert "The gradient halves every 0.5 timesteps back (R² 1.00)." in view.sentences
    assert "clipped at 75% of the last 4 updates" in words(view)
    radius = float(torch.linalg.eigvals(run.rebuilt()[1].weight_roles()["Ws/0"].detach()).abs().max())
    assert f"The spectral radius of Ws (from state to state) is {radius:.3g}, below 1" in words(view)
    assert view.fits["h/0"].steps == [0, 50]
    assert view.fits["h/0"].half_life == [None, 0.5]
    assert view.fits["h/0"].factor == [1.0, 0.25]
    assert view.fits["h/0"].words == [
        "keeps its size on its way back",
        "halves every 0.5 timesteps back (R² 1.00)",
    ]


def test_a_gradient_that_arrives_and_one_that_explodes_are_told_apart() -> None:
    run = trained(ELMAN, ADDING_30)
    arrives = words(diagnosed(run, h_0=decaying(0.9, length_of(run))))
    assert "it gets there" in arrives
    assert "explode" not in arrives
    faint = words(diagnosed(run, h_0=decaying(0.8, length_of(run))))
    assert "it arrives, but only faintly" in faint
    explodes = words(diagnosed(run, h_0=decaying(2.0, length_of(run))))
    assert "it does not fade on its way back" in explodes
    assert "doubles every timestep back" in explodes
    times = 2.0 ** (length_of(run) - 1)
    assert f"Over the whole way back it grows to {times:.3g} times its size: it explodes." in explodes


def test_growth_is_told_by_what_it_comes_to_and_not_by_its_pace_alone() -> None:
    run = trained(ELMAN, ADDING_30)
    pace = length_of(run) - 1
    slight, much = (words(diagnosed(run, h_0=decaying(of ** (1 / pace), pace + 1))) for of in (7.0, 300.0))
    assert "doubles every" in slight
    assert "it grows to 7 times its size: growth as slight as this is harmless." in slight
    assert "it grows to 300 times its size: much, but no explosion yet." in much
    assert "explode" not in slight + much
    level = words(diagnosed(run, h_0=decaying(1.0, pace + 1)))
    assert "keeps its size" in level
    assert "grows" not in level


def test_the_state_that_is_spoken_of_is_named_for_programs_too() -> None:
    run = trained(lstm(), ADDING_30)
    length = length_of(run)
    view = diagnosed(run, h_0=decaying(0.5, length), c_0=decaying(0.9, length))
    assert "in the cell state c" in words(view)
    assert view.state == "c/0"
    assert diagnosed(run, h_0=[None] * length, c_0=decaying(0.9, length)).state == "h/0"
    alone = diagnosed(trained(ELMAN, TEXT), h_0=[1.0] * 20)
    assert alone.state == "h/0"
    assert diagnosed(trained(ELMAN, TEXT), checkpoint=False, h_0=[1.0] * 20).state == ""


def test_without_recordings_or_checkpoint_nothing_untrue_is_said() -> None:
    run = Trained(config_of(lstm(), ADDING), 0, b"")
    view = compute(subject_with(Recorded(), run, None), DiagnosisSettings())
    assert (view.sentences, view.fits, view.unfitted) == ([], {}, "")


# --- Overflow ----------------------------------------------------------------------------------------


def test_a_gradient_that_overflowed_has_exploded_and_has_not_vanished() -> None:
    run = trained(ELMAN, ADDING)
    late = [2.0 ** (100 - 2 * t) for t in range(length_of(run) - 6)]
    view = diagnosed(run, h_0=[*[None] * 6, *late])
    told = words(view)
    assert "the gradient has exploded: at 6 of the" in told
    assert "beyond what a 32-bit number holds" in told
    assert "doubles every 0.5 timesteps back" in told
    assert "vanished" not in told
    assert view.numbers["timesteps not finite"] == 6


def test_where_no_norm_is_finite_that_is_told() -> None:
    run = trained(ELMAN, ADDING)
    told = words(diagnosed(run, h_0=[None] * length_of(run)))
    assert f"is not finite at any of the {length_of(run)} timesteps" in told
    assert "vanished" not in told


def test_an_overflow_in_a_task_with_losses_everywhere_is_told_too() -> None:
    run = trained(ELMAN, TEXT)
    told = words(diagnosed(run, checkpoint=False, h_0=[*[None] * 6, *[1.0] * 14]))
    assert "at 6 of the 20 timesteps" in told


# --- Where a decay can be seen -----------------------------------------------------------------------


def test_with_losses_everywhere_the_last_ones_gradient_is_followed_through_the_checkpoint() -> None:
    """Beside autograd on the unrolled network and a line by numpy; the flat recording tells nothing."""
    run = trained({**ELMAN, "nonlinearity": "sigmoid"}, TEXT)
    view = diagnosed(run, h_0=[1.0] * 20)
    _, network, probe = run.rebuilt()
    outputs, states = network.unroll(probe.inputs)
    loss = F.cross_entropy(outputs[:, -1], probe.targets[:, -1])
    gradients = torch.autograd.grad(loss, [state.h[0] for state in states])
    norms = np.array([float(gradient.norm()) for gradient in gradients])
    slope, offset = np.polyfit(np.arange(20), np.log(norms), 1)
    left = np.log(norms) - slope * np.arange(20) - offset
    r_squared = 1 - left.var() / np.log(norms).var()
    assert view.numbers["factor per timestep"] == pytest.approx(math.exp(-slope), rel=1e-4)
    assert view.numbers["gradient share"] == pytest.approx(norms[0] / norms.max(), rel=1e-4)
    assert (
        f"The gradient of the last timestep's loss alone halves every {math.log(2) / slope:.3g} timesteps "
        f"back (R² {r_squared:.2f})."
    ) in view.sentences
    assert f"(the first) is {norms[0] / norms.max():.2g} of its largest value, at timestep 20" in words(view)
    assert "it gets there" not in words(view)
    assert view.fits == {}
    assert view.sentences.count(view.unfitted) == 1
    assert "losses from timestep 1 on" in view.unfitted


def test_without_a_checkpoint_it_is_only_told_why_nothing_is_fitted() -> None:
    view = diagnosed(trained(ELMAN, TEXT), checkpoint=False, h_0=[1.0] * 20)
    assert view.sentences == [view.unfitted]
    assert view.fits == {}


def test_a_recording_is_fitted_up_to_the_first_loss_alone() -> None:
    """Echo with a lag of 10 scores from the 11th timestep on; what comes later is as those losses make it."""
    run = trained(ELMAN, {"name": "echo", "length": 30, "lag": 10})
    view = diagnosed(run, h_0=[*decaying(0.5, 11), *[100.0] * 19])
    assert view.fits["h/0"].last == 10
    assert view.fits["h/0"].half_life[1] == pytest.approx(1)
    assert f"is {0.5**10:.2g} of its largest value, at timestep 11" in words(view)
    assert view.unfitted == ""


def test_sequences_too_short_for_a_fit_are_told_as_such() -> None:
    run = trained(ELMAN, ADDING)
    view = diagnosed(run, checkpoint=False, h_0=[0.25, 0.5, 1.0])
    assert view.unfitted == "A sequence of 3 timesteps is too short for a decay to be fitted."


def test_sequences_that_end_apart_are_judged_up_to_the_earliest_end() -> None:
    run = trained(lstm(), {"name": "reber"})
    view = diagnosed(run)
    task, network, probe = run.rebuilt()
    assert probe.mask is not None
    ends = [int(row.nonzero().max()) for row in probe.mask]
    assert len(set(ends)) > 1
    outputs, states = network.unroll(probe.inputs)
    rows = torch.arange(len(ends))
    loss = task.elementwise_loss(outputs[rows, ends][:, None], probe.targets[rows, ends][:, None]).mean()
    gradients = torch.autograd.grad(loss, [state.c[0] for state in states])
    norms = torch.stack([gradient.norm() for gradient in gradients])[: min(ends) + 1]
    assert view.numbers["gradient share"] == pytest.approx(float(norms[1] / norms.max()), rel=1e-4)
    assert "the gradient of the last scored timestep's loss alone" in words(view)


def test_the_marker_is_the_earliest_of_the_whole_probe() -> None:
    run = trained(ELMAN, ADDING_30)
    informative = run.rebuilt()[2].informative
    assert informative is not None
    earliest = int(informative.min())
    assert informative[0].min() > earliest
    view = diagnosed(run, h_0=decaying(0.5, length_of(run)))
    assert view.numbers["timestep"] == earliest
    assert f"timestep {earliest + 1} (the earliest that decides a target)" in words(view)


# --- A pace, or none ---------------------------------------------------------------------------------


def test_a_memory_of_finite_length_has_no_pace_but_an_end() -> None:
    run = trained({"name": "tdnn", "hidden_size": 5}, ADDING_30)
    length = length_of(run)
    view = diagnosed(run, x_0=[0.0] * (length - 7) + [0.9, 0.5, 1.2, 0.3, 1.1, 0.4, 0.6])
    assert "The gradient is exactly 0 more than 6 timesteps back." in view.sentences
    assert "what is read there is never heard" in words(view)
    assert "halves" not in words(view)
    assert view.fits["x/0"].factor == [1.0, None]


def test_a_real_delay_line_is_heard_as_far_back_as_its_receptive_field() -> None:
    """1 + 2 input delays + 4 hidden ones: an output sees 6 timesteps back."""
    view = diagnosed(trained({"name": "tdnn", "hidden_size": 5}, TEXT))
    assert "The gradient of the last timestep's loss alone is exactly 0 more than 6 timesteps back." in (
        view.sentences
    )


def test_a_gradient_that_has_faded_below_all_numbers_is_not_told_as_a_memory_that_ends() -> None:
    run = trained(ELMAN, ADDING_30)
    norms = [norm if norm > 1e-45 else 0.0 for norm in decaying(0.001, length_of(run)) if norm is not None]
    told = words(diagnosed(run, h_0=norms))
    assert "exactly 0" not in told
    assert f"too small for a 32-bit number, beside its largest value, at timestep {len(norms)}" in told
    assert "it has vanished" in told


def test_an_uneven_gradient_has_no_pace_and_a_level_one_keeps_its_size() -> None:
    uneven = course(torch.tensor([1.0, 9.0, 0.1, 5.0, 0.3, 8.0, 1.0, 3.0]), 7)
    assert uneven.words.startswith("does not fade evenly on its way back (R² 0.")
    assert uneven.factor is None
    level = course(torch.tensor([1.0, 1.1, 0.9, 1.05, 0.95, 1.1, 1.0]), 6)
    assert level.words == "keeps its size on its way back"
    assert course(torch.tensor([0.0, 0.0, 0.0]), 2).words == ""


# --- The loss ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (1.02, "is that of chance, 0.0417: it does no better than guessing"),
        (0.98, "is that of chance, 0.0417: it does no better than guessing"),
        (1.5, "is 1.5 times what guessing gives, 0.0417: it is worse than chance"),
        (6000.0, "is 6,000 times what guessing gives"),
        (0.24, "is 24% of what guessing gives, 0.0417"),
        (0.001, "is 0.1% of what guessing gives"),
    ],
)
def test_a_loss_is_told_beside_what_guessing_gives(ratio: float, said: str) -> None:
    metrics = {"validation/loss": flat([1.0, ratio / 24])}  # chance of adding: 1/24
    run = trained(ELMAN, ADDING)
    told = diagnosed(run, checkpoint=False, metrics=metrics).sentences[0]
    assert said in told
    assert "0% of" not in told.replace("10% of", "")


@pytest.mark.parametrize(("flag", "said"), [("nan", "not a number any more (NaN)"), ("inf", "is infinite")])
def test_a_loss_that_ended_beyond_all_numbers_is_told_and_not_the_one_before_it(flag: str, said: str) -> None:
    metrics = {"validation/loss": flat([0.05, 0.001, None], flag)}
    (told,) = diagnosed(trained(ELMAN, ADDING), checkpoint=False, metrics=metrics).sentences
    assert said in told
    assert "at update 3" in told


# --- Saturation --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "task"),
    [
        (lstm(), ADDING),
        ({"name": "gru"}, ADDING),
        ({"name": "mingru"}, ADDING),
        ({"name": "slstm"}, {"name": "adding", "length": 50}),
        ({"name": "slstm", "forget_gate": "exponential"}, {"name": "adding", "length": 50}),
        ({"name": "tdnn", "hidden_size": 5}, TEXT),
        ({"name": "jordan", "hidden_size": 5}, {"name": "temporal_order", "length": 20}),
        ({"name": "jordan", "feedback": "softmax"}, TEXT),
        ({"name": "elman", "nonlinearity": "relu"}, TEXT),
        ({"name": "lru"}, ADDING),
    ],
)
def test_nothing_of_a_fresh_network_is_called_saturated(model: dict[str, Any], task: dict[str, Any]) -> None:
    told = words(diagnosed(trained(model, task, {"steps": 1})))
    assert "saturated" not in told
    assert "stands near" not in told


def forced(run: Trained, prefix: str, value: float) -> DiagnosisView:
    """With the biases whose names begin so set to a value, one gate's block of them or all."""
    subject = subject_with(Recorded(), run, run.step)
    with torch.no_grad():
        for name, parameter in subject.network.named_parameters():
            if name.startswith(prefix):
                parameter.fill_(value)
    return compute(subject, DiagnosisSettings())


def test_states_and_gates_that_stand_at_an_end_are_told_with_their_names() -> None:
    high = forced(trained({**ELMAN, "nonlinearity": "sigmoid"}, ADDING), "rnn.bias", 5.0)
    assert (
        "The hidden state h is saturated, near 1, 100% of the time: what drives it hardly learns."
        in high.sentences
    )
    assert high.numbers["saturated h/0"] == 1
    assert "layer" not in words(high)
    low = words(forced(trained(lstm(layers=2), ADDING), "rnn.bias_ih_l1", -5.0))
    assert "The output gate o of layer 2 is saturated, near 0, 100% of the time" in low
    assert "The candidate g of layer 2 is saturated, near -1, 100% of the time" in low
    # A forget gate that is shut does not fail to learn: it forgets.
    assert "The forget gate f of layer 2 stands near 0 100% of the time: little of what was remembered" in low


def test_both_ends_are_named_where_a_unit_goes_to_both() -> None:
    run = trained({"name": "elman", "hidden_size": 20}, TEXT)
    subject = subject_with(Recorded(), run, run.step)
    with torch.no_grad():
        for parameter in subject.network.parameters():
            parameter.mul_(100)
    told = words(compute(subject, DiagnosisSettings()))
    assert "The hidden state h is saturated, near -1 or 1," in told
    with torch.no_grad():
        _, states = subject.network.unroll(subject.drawn(16).inputs)
    share = float((torch.stack([state.h[0] for state in states]).abs() > 0.8).double().mean())
    assert f"{percent(share)} of the time" in told


# --- A run that blew up ------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["loss", "gradient_norm/before_clip"])
@pytest.mark.parametrize("flag", ["nan", "inf"])
def test_a_training_that_blew_up_is_told_before_all_else(key: str, flag: str) -> None:
    metrics = {"validation/loss": flat([1 / 24]), key: flat([0.1, None], flag)}
    view = diagnosed(trained(ELMAN, ADDING), checkpoint=False, metrics=metrics)
    what = {"loss": "the loss", "gradient_norm/before_clip": "the gradient's norm"}[key]
    number = {"nan": "not a number (NaN)", "inf": "infinite"}[flag]
    assert view.sentences[0].startswith(f"Training blew up: {what} became {number} at update 2.")
    assert view.numbers["blew up at"] == 2
    assert "chance" in view.sentences[1]


def test_a_number_that_was_not_finite_once_but_is_again_is_no_end() -> None:
    metrics = {"loss": flat([0.1, None, 0.1], "inf")}
    assert "blew up" not in words(diagnosed(trained(ELMAN, ADDING), checkpoint=False, metrics=metrics))
