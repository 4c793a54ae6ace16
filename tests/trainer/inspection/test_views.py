"""What each view answers, beside the same quantity computed here by other means."""

from __future__ import annotations

import copy
import math
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from models import MODELS
from models.base import Network, named_tensors
from models.bptt.credit import credit, credit_gradients
from models.bptt.truncation import truncation_meter
from tests.trainer.inspection.making import ADDING, TEXT, asked, asked_raw, lstm, numbers, trained
from trainer.corpora import builtin_corpora
from trainer.inspection import VIEWS
from trainer.inspection.base import curve
from trainer.inspection.child import Question, subject_of
from trainer.inspection.jacobians import SPEC as JACOBIANS
from trainer.inspection.jacobians import _stream
from trainer.schema import (
    CliffView,
    CreditView,
    Exponents,
    GatesView,
    JacobiansView,
    PlacesView,
    SurgeryView,
    TriangleView,
    TruncationView,
)
from trainer.seeds import generator
from trainer.tasks.base import Batch, Task
from trainer.tasks.characters import Characters
from trainer.tbptt import windows

CLOSE = {"rtol": 1e-4, "atol": 1e-12}
"""Answers carry five digits."""


def loss_of(task: Task, batch: Batch, count: int, begin: int = 0) -> Any:
    """The mean loss of a probe's first ``count`` sequences, from outputs at ``begin`` on."""

    def loss(outputs: Tensor) -> Tensor:
        targets = batch.targets[:count]
        return task.elementwise_loss(outputs[:, batch.first - begin :], targets).mean()

    return loss


@pytest.mark.parametrize("name", MODELS)
def test_every_view_answers_for_every_network_or_says_why_it_has_no_meaning(name: str) -> None:
    run = trained({"name": name}, ADDING)
    for view in VIEWS:
        found = asked(run, view)
        assert (found.result is None) == bool(found.meaningless)
        if found.result is not None:
            assert found.result.kind == view


def test_a_network_without_state_is_told_why_not() -> None:
    run = trained({"name": "ffnn"}, ADDING)
    for view in ("truncation", "jacobians", "gates"):
        assert "carries no state from timestep to timestep" in str(asked(run, view).meaningless)
    assert "no timestep is a mere distractor" in str(asked(trained(lstm(), TEXT), "credit").meaningless)
    assert "not about a text" in str(asked(run, "places").meaningless)


@pytest.mark.parametrize("length", [12, 5])
def test_the_triangle_adds_up_to_autograds_gradient_of_the_stretch(length: int) -> None:
    run = trained(lstm(), ADDING)
    view = cast(TriangleView, asked(run, "triangle", sequences=3, length=length, paths=True).result)
    task, network, probe = run.rebuilt()
    begin = 12 - length
    assert view.begin == begin
    with torch.no_grad():
        _, state = network(probe.inputs[:3, :begin]) if begin else (None, None)
    outputs, states = network.unroll(probe.inputs[:3, begin:], state)
    loss = loss_of(task, probe, 3, begin)(outputs)
    last = states[-1]
    roles = network.weight_roles()
    gradients = torch.autograd.grad(loss, [*roles.values(), last.h[0]], retain_graph=True)
    for (role, _), gradient in zip(roles.items(), gradients, strict=False):
        assert view.totals[role] == pytest.approx(float(gradient.norm()), rel=1e-4)
    triangle = numbers(view.states["h/0"])
    assert triangle.shape == (length, length)
    assert float(triangle[-1, -1]) == pytest.approx(float(gradients[-1].norm()), rel=1e-4)
    assert not triangle[:-1].any()  # adding asks once, at the end
    assert set(view.paths) == {"h", "c"}
    forget = network.gates(probe.inputs[:3, begin:], state)["f/0"]
    expected = forget[:, -1].mean()  # one step back
    assert view.carried["c/0"][-1][-2] == pytest.approx(float(expected), rel=1e-4)


def test_truncation_equals_the_meter_at_the_runs_own_windows_and_is_whole_at_the_full_reach() -> None:
    run = trained(lstm(), TEXT, {"k1": 4, "k2": 6, "batch_size": 8})
    view = cast(TruncationView, asked(run, "truncation", sequences=2).result)
    task, network, probe = run.rebuilt()
    (meter,) = truncation_meter(network, probe.inputs[:2], None, loss_of(task, probe, 2), [windows(20, 4, 6)])
    assert (view.own_k1, view.own_k2, view.k1, view.k2) == (4, 6, 4, [4, 8, 16, 20])
    for role, match in meter.items():
        assert view.own[role].cosine == pytest.approx(match.cosine, rel=1e-4)
        assert view.own[role].norm_ratio == pytest.approx(match.norm_ratio, rel=1e-4)
        assert view.sweep[role].cosine[-1] == view.each_step[role].norm_ratio[-1] == pytest.approx(1)
    whole = asked(trained(lstm(), ADDING), "truncation")
    assert (cast(TruncationView, whole.result).own, cast(TruncationView, whole.result).k1) == ({}, None)


def test_credit_equals_the_pure_function_now_and_at_the_start() -> None:
    run = trained(lstm(), ADDING)
    view = cast(CreditView, asked(run, "credit").result)
    task, network, probe = run.rebuilt()
    assert probe.informative is not None
    gradients = credit_gradients(network, probe.inputs, None, loss_of(task, probe, 8))
    found = credit(gradients, probe.informative)
    assert view.now.keys() == found.keys() == {"x", "h/0", "c/0"}
    for name, expected in found.items():
        assert view.now[name].ratio == pytest.approx(expected.ratio, rel=1e-4)
    assert view.now["x"].ratio != view.at_start["x"].ratio
    assert view.informative == sorted(probe.informative[0].tolist())
    mean = sum(cast(float, view.norms["x"][t]) for t in view.informative) / len(view.informative)
    assert mean == pytest.approx(float(found["x"].informative[0]), rel=1e-4)


def test_credit_leaves_out_what_follows_the_end_of_a_sequence() -> None:
    """Strings of the Reber grammar, of different lengths, beside each string's mean by itself, unpadded."""
    run = trained(lstm(), {"name": "reber"})
    view = cast(CreditView, asked(run, "credit", sequences=8).result)
    task, network, probe = run.rebuilt()
    assert probe.mask is not None
    lengths = probe.mask[:8].sum(1).tolist()
    assert len(set(lengths)) > 1
    marked, others = [], []
    for b, length in enumerate(lengths):
        x = probe.inputs[b : b + 1, :length].clone().requires_grad_()
        losses = task.elementwise_loss(network(x)[0], probe.targets[b : b + 1, :length])
        (gradient,) = torch.autograd.grad(losses.sum() / sum(lengths), [x])
        norms = gradient[0].norm(dim=1).tolist()
        marked.append(norms.pop(1))
        others.append(sum(norms) / len(norms))
    assert view.now["x"].informative == pytest.approx(sum(marked) / 8, rel=1e-4)
    assert view.now["x"].distractors == pytest.approx(sum(others) / 8, rel=1e-4)
    assert len(view.norms["x"]) == lengths[0]


@pytest.mark.parametrize(
    ("model", "task", "told"),
    [
        ({"name": "ffnn"}, {"name": "adding", "length": 30}, "has no memory"),
        (
            {"name": "tdnn", "delays": 1, "hidden_delays": 1},
            {"name": "adding", "length": 30},
            "is too short, 3 timesteps: the inputs that decide a target come 16 or more",
        ),
    ],
)
def test_credit_says_so_where_no_gradient_can_ever_reach_a_marker(
    model: dict[str, Any], task: dict[str, Any], told: str
) -> None:
    assert told in str(asked(trained(model, task), "credit").meaningless)


def test_credit_of_a_short_memory_is_measured_where_it_reaches_some_marker() -> None:
    wide = trained({"name": "tdnn", "delays": 1, "hidden_delays": 40}, {"name": "adding", "length": 30})
    own = trained({"name": "ffnn"}, {"name": "reber"})  # the second symbol is itself asked about
    for run in (wide, own):
        ratio = cast(CreditView, asked(run, "credit").result).now["x"].ratio
        assert ratio is not None
        assert ratio > 0


def test_jacobians_equal_torch_funcs_and_eigenvalues_those_of_the_matrix() -> None:
    run = trained({"name": "elman", "hidden_size": 5}, ADDING)
    view = cast(JacobiansView, asked(run, "jacobians").result)
    _, network, probe = run.rebuilt()
    x = probe.inputs[:1]
    _, states = network.unroll(x)

    def step(h: Tensor) -> Tensor:
        after: Tensor = network.step(x[:, 4], type(states[0])((h[None],)))[1].h[0][0]
        return after

    jacobian = cast(Tensor, torch.func.jacrev(step)(states[3].h[0][0].detach())).detach()
    expected = torch.linalg.svdvals(jacobian)
    assert view.step.largest[4] == pytest.approx(float(expected[0]), rel=1e-4)
    assert view.step.smallest[4] == pytest.approx(float(expected[-1]), rel=1e-4)
    Ws = network.weight_roles()["Ws/0"].detach()
    block = view.spectra["Ws/0"]
    radius = float(torch.linalg.eigvals(Ws).abs().max())
    assert block.radius == pytest.approx(radius, rel=1e-4)
    assert max(map(math.hypot, block.real, block.imaginary)) == pytest.approx(radius, rel=1e-4)
    norm = float(torch.linalg.matrix_norm(Ws, 2))
    assert (view.bounds["Ws/0"].norm, view.bounds["Ws/0"].bound) == (pytest.approx(norm), 1.0)
    assert cast(JacobiansView, asked(trained(lstm(), ADDING), "jacobians").result).bounds == {}


def exponents(run: Any, **settings: Any) -> Exponents:
    found = cast(JacobiansView, asked(run, "jacobians", **settings).result).lyapunov
    assert found is not None
    return found


def test_exponents_of_a_linear_network_are_those_of_its_matrix_with_their_window_and_spread() -> None:
    run = trained({"name": "elman", "hidden_size": 5, "nonlinearity": "linear"}, ADDING)
    found = exponents(run)
    Ws = run.rebuilt()[1].weight_roles()["Ws/0"].detach()
    expected = torch.linalg.eigvals(Ws).abs().log().sort(descending=True).values.tolist()
    assert found.mean == pytest.approx(expected, rel=0.03)
    ends = zip(found.lowest, found.mean, found.highest, strict=True)
    assert all(low <= mean <= high for low, mean, high in cast(Any, ends))
    assert (found.starts, found.wiped_out, found.has_settled) == (6, [0] * 5, True)
    longer = exponents(run, follow=1000)
    assert 0 < longer.warm_up < longer.timesteps <= 1000


def test_directions_that_a_network_wipes_out_are_told_and_not_measured() -> None:
    jordan = trained({"name": "jordan", "hidden_size": 5}, {"name": "temporal_order", "length": 12})
    found = exponents(jordan)
    assert found.wiped_out == [0, 0, 0, 0, 6, 6, 6, 6]  # four outputs feed back, as eight numbers
    assert found.mean[4:] == found.lowest[4:] == found.highest[4:] == [None] * 4
    step = cast(JacobiansView, asked(jordan, "jacobians").result).step
    assert set(step.smallest) == {None}
    assert None not in step.largest
    tdnn = exponents(trained({"name": "tdnn", "hidden_size": 4, "delays": 60}, ADDING))
    assert (set(tdnn.mean), tdnn.wiped_out) == ({None}, [6] * 8)


def test_exponents_are_followed_through_sequences_joined_without_their_padding() -> None:
    """Strings of the Reber grammar have many lengths; each symbol is one 1 among zeros, padding is not."""
    run = trained(lstm(), {"name": "reber"})
    question = Question(view="jacobians", settings={}, config=run.config, step=run.step, checkpoint=run.data)
    stream = _stream(subject_of(question), 3, 200)
    assert stream.shape[:2] == (3, 200)
    assert bool((stream.sum(2) == 1).all())
    assert not torch.equal(stream[0], stream[1])
    begins = stream[:, :, 0] == 1  # each string begins with B, twice in an embedded one
    assert bool(begins[:, 0].all())
    assert bool((begins.sum(1) > 8).all())


def test_jacobians_that_take_long_are_measured_only_where_a_length_is_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trainer.inspection.jacobians.LARGEST_STATE", 11)
    run = trained(lstm(), ADDING)  # 12 numbers
    status, body = asked_raw(run, "jacobians")
    assert (status, body["errors"][0]["field"]) == (422, "settings.length")
    assert "12 numbers" in body["message"]
    assert len(cast(JacobiansView, asked(run, "jacobians", length=2).result).product.largest) == 2


def test_jacobians_too_large_for_memory_are_refused_with_the_length_that_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(f"{JACOBIANS.compute.__module__}.MOST_NUMBERS", 12**2 * 7)
    status, body = asked_raw(trained(lstm(), ADDING), "jacobians")
    assert status == 422
    assert body["errors"][0]["field"] == "settings.length"
    assert "choose a length of 7 or less" in body["errors"][0]["remedy"]


def test_gates_and_states_are_those_of_the_chosen_sequence() -> None:
    run = trained(lstm(), ADDING)
    view = cast(GatesView, asked(run, "gates", sequence=2, length=4).result)
    _, network, probe = run.rebuilt()
    gates, (_, states) = network.gates(probe.inputs), network.unroll(probe.inputs)
    assert view.begin == 8
    assert list(view.gates) == list(gates)
    for name, gate in gates.items():
        torch.testing.assert_close(numbers(view.gates[name]), gate[2, 8:], **CLOSE)
    torch.testing.assert_close(
        numbers(view.states["c/0"]), torch.stack([state.c[0][2] for state in states[8:]]).detach(), **CLOSE
    )
    shown = [channel.values for channel in view.sample.channels]
    assert len(shown[0]) == 12
    assert shown[0] == pytest.approx(probe.inputs[2, :, 0].tolist())
    judged = run.rebuilt()[0].draw_validation(16, generator(3, "probe")).inputs.double()
    for name, gate in network.gates(judged).items():
        low, high = (-0.8, 0.8) if name == "g/0" else (0.1, 0.9)  # a tenth of its range from either end
        for found, near in (
            (view.saturation[name].low, gate < low),
            (view.saturation[name].high, gate > high),
        ):
            assert found == pytest.approx(near.double().mean((0, 1)).tolist())


def test_a_text_of_ones_own_is_read_and_what_cannot_be_read_is_refused() -> None:
    run = trained(lstm(), TEXT)
    view = cast(GatesView, asked(run, "gates", text="the list").result)
    assert view.sample.channels[0].values == list("the list")
    assert view.sample.target == "he list"
    assert len(view.gates["o/0"]) == 8  # the last symbol has no target, but it is read
    status, body = asked_raw(run, "gates", text="\u2603\u2603")
    assert (status, body["errors"][0]["field"]) == (422, "settings.text")
    assert asked_raw(trained(lstm(), ADDING), "gates", text="abc")[0] == 422


def test_places_are_those_of_the_units_largest_and_smallest_values() -> None:
    run = trained(lstm(), TEXT)
    view = cast(PlacesView, asked(run, "places", state="c/0", unit=4, symbols=640, places=3).result)
    task, network, _ = run.rebuilt()
    assert isinstance(task, Characters)
    read = task.validation_chunks(640)
    _, states = network.unroll(one_hot(read, task.input_size).double())
    values = torch.stack([dict(named_tensors(state))["c/0"][:, 4] for state in states], dim=1)  # (N, T)
    assert view.read == read.numel() == 640
    assert [place.value for place in view.highest] == pytest.approx(
        values.flatten().topk(3).values.tolist(), rel=1e-4
    )
    row, t = divmod(int(values.argmin()), 20)
    lowest = view.lowest[0]
    assert lowest.before + lowest.symbol + lowest.after == task.decode(read[row])
    assert lowest.symbol == task.decode(read[row, t : t + 1])
    assert asked_raw(run, "places", state="z/0")[1]["errors"][0]["remedy"] == "choose one of: h/0, c/0"
    assert asked_raw(run, "places", unit=6)[1]["errors"][0]["remedy"] == "choose 0 to 5"


def test_as_much_is_looked_through_as_was_asked_for_and_no_place_is_read_twice() -> None:
    long = trained(lstm(), {"name": "characters", "length": 500}, {"steps": 1})
    for symbols in (320, 6_400):
        assert symbols - 13 < cast(PlacesView, asked(long, "places", symbols=symbols).result).read <= symbols
    whole = cast(PlacesView, asked(long, "places", symbols=200_000).result)
    text = builtin_corpora()["python-topics"].text
    kept = len(text) - int(len(text) * 0.9)
    assert kept - 100 < whole.read <= kept  # there is no more, and none is read twice


def test_the_cliffs_rows_go_by_b_and_its_columns_by_w() -> None:
    view = cast(CliffView, asked(trained(lstm(), ADDING), "cliff").result)
    row, column = 11, 37
    x = 0.5
    for _ in range(50):
        x = view.w[column] / (1 + math.exp(-x)) + view.b[row]
    assert view.loss[row][column] == pytest.approx((1 / (1 + math.exp(-x)) - 0.7) ** 2, rel=1e-3)
    assert cast(float, view.clipped.loss[-1]) < 0.1 * cast(float, view.free.loss[-1])  # the point of it


def test_surgery_shows_what_a_copy_with_clamped_weights_does() -> None:
    run = trained(lstm(), ADDING, {"steps": 40, "learning_rate": 0.03})  # not always wrong any more
    view = cast(SurgeryView, asked(run, "surgery", target="o/0", units="0, 2-3", value=0.5, seed=9).result)
    task, network, _ = run.rebuilt()
    batch = task.draw_validation(64, generator(9, "probe")).to(torch.device("cpu"), torch.float64)
    held = copy.deepcopy(network)
    held.clamp("o/0", [0, 2, 3], 0.5)

    for side, judged in ((view.untouched, network), (view.changed, held)):
        with torch.no_grad():
            outputs, _ = judged(batch.inputs, None, batch.first)
        loss = float(task.elementwise_loss(outputs, batch.targets).mean())
        wrong = int(((outputs - batch.targets).abs() > 0.2).sum())  # adding's own rule
        assert (side.loss, side.error) == (pytest.approx(loss, rel=1e-4), wrong / 64)
    assert view.untouched.loss != view.changed.loss
    assert view.untouched.error != view.changed.error
    assert view.clamped == "o/0, units 0, 2, 3, held at 0.5 (possible: 0 to 1)"
    assert view.choices == ["i/0", "f/0", "g/0", "o/0", "h/0"]
    assert len(view.changed.samples) == len(view.untouched.samples) == 3


@pytest.mark.parametrize("name", MODELS)
def test_surgery_holds_all_that_a_network_offers_at_0_or_what_is_nearest_to_it(name: str) -> None:
    run = trained({"name": name}, ADDING)
    offered = run.rebuilt()[1].clampable()
    assert cast(SurgeryView, asked(run, "surgery").result).choices == list(offered)
    for target, span in offered.items():
        view = cast(SurgeryView, asked(run, "surgery", target=target).result)
        nearest = max(span.low, 0.0)
        assert view.clamped == (
            f"{target}, all {span.units} unit{'s' * (span.units > 1)}, held at {nearest:g}"
            f" (possible: {span.words()})"
        )
        assert view.changed.loss is not None


def test_surgery_says_so_where_a_network_has_nothing_to_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODELS["ffnn"].network, "clampable", Network.clampable)
    told = str(asked(trained({"name": "ffnn"}, ADDING), "surgery").meaningless)
    assert "no gates or units that can be held" in told


@pytest.mark.parametrize(
    ("model", "settings", "remedy"),
    [
        ({"name": "lru"}, {"value": 0.5}, "choose 0 only"),
        ({"name": "slstm"}, {"target": "i/0", "value": 0.0}, "choose 1e-30 or more"),
        ({"name": "mingru", "candidate": "positive"}, {"target": "h/0", "value": -1}, "choose 0 or more"),
        ({"name": "jordan"}, {"target": "s/0", "units": "1"}, "choose from 0 to 0"),
    ],
)
def test_surgery_names_the_range_of_what_is_to_be_held(
    model: dict[str, Any], settings: dict[str, Any], remedy: str
) -> None:
    status, body = asked_raw(trained(model, ADDING), "surgery", **settings)
    assert status == 422
    assert remedy in body["errors"][0]["remedy"]


@pytest.mark.parametrize(
    ("settings", "field", "remedy"),
    [
        ({"target": "r/0"}, "target", "choose one of: i/0"),
        ({"units": "3, 6"}, "units", "choose from 0 to 5"),
        ({"units": "5-3"}, "units", "choose from 0 to 5"),
        ({"units": "1-"}, "units", "write, say, 0, 3, 8-11"),
        ({"units": "0000000009"}, "units", "choose from 0 to 5"),
        ({"units": "9" * 2000}, "units", "choose from 0 to 5"),
        ({"target": "f/0", "value": 1.5}, "value", "choose 0 to 1"),
    ],
)
def test_surgery_that_cannot_be_done_names_the_setting(
    settings: dict[str, Any], field: str, remedy: str
) -> None:
    status, body = asked_raw(trained(lstm(), ADDING), "surgery", **settings)
    assert status == 422
    assert body["errors"][0]["field"] == f"settings.{field}"
    assert remedy in body["errors"][0]["remedy"]


def test_surgery_reads_all_digits_of_a_units_number() -> None:
    view = cast(SurgeryView, asked(trained(lstm(), ADDING), "surgery", units="0000000003").result)
    assert view.clamped.startswith("i/0, unit 3, held")


def test_what_is_not_finite_becomes_null() -> None:
    assert curve(torch.tensor([1.0, math.nan, math.inf, 1.23456789])) == [1.0, None, None, 1.2346]
