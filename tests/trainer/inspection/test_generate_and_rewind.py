"""Generation beside a loop written here; a rewound run beside the run itself."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.trainer.inspection.making import ADDING, TEXT, Trained, asked, asked_raw, config_of, lstm, trained
from tests.trainer.training.conftest import ServiceInMemory
from trainer.inspection.generate import limited
from trainer.schema import GeneratedView, Generation, RewindView

# --- Generate ----------------------------------------------------------------------------------------


def generated(run: Trained, **settings: Any) -> GeneratedView:
    return cast(GeneratedView, asked(run, "generate", **settings).result)


def test_at_temperature_zero_each_symbol_is_the_likeliest_after_the_whole_text_so_far() -> None:
    run = trained(lstm(), TEXT)
    view = generated(run, prompt="the ", temperature=0, length=12)
    task, network, _ = run.rebuilt()
    text = "the "
    for written in view.written:
        ids = cast(Any, task).encode(text)
        logits = network(F.one_hot(ids[None], task.input_size).double())[0][0, -1].detach()
        chances = logits.softmax(0)
        assert written.symbol == cast(Any, task).decode([int(logits.argmax())])
        assert written.probability == pytest.approx(float(chances.max()), rel=1e-3)
        best = chances.topk(5).values.tolist()
        assert [guess.probability for guess in written.guesses] == pytest.approx(best, rel=1e-3)
        text += written.symbol
    assert (view.prompt, view.text) == ("the ", text[4:])
    assert generated(run, prompt="the ", top_k=1, length=12).text == view.text


def test_the_same_seed_writes_the_same_text_and_another_one_another() -> None:
    run = trained(lstm(), TEXT)
    first, again, other = (generated(run, length=60, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.text != other.text
    assert first.prompt  # of the validation text


def test_a_prompt_with_symbols_that_were_never_learnt_is_refused() -> None:
    status, body = asked_raw(trained(lstm(), TEXT), "generate", prompt="\u2603")
    assert (status, body["errors"][0]["field"]) == (422, "settings.prompt")


@given(
    tenths=st.lists(st.integers(-50, 50), min_size=2, max_size=12, unique=True),
    temperature=st.sampled_from([0.3, 1.0, 2.0]),
    top_k=st.none() | st.integers(1, 12),
    top_p=st.sampled_from([None, 0.0137, 0.4321, 0.777, 0.951, 1.0]),
)
def test_top_k_and_top_p_leave_the_fewest_likeliest_symbols_that_reach_p(
    tenths: list[int], temperature: float, top_k: int | None, top_p: float | None
) -> None:
    logits = [tenth / 10 for tenth in tenths]
    settings = Generation(temperature=temperature, top_k=top_k, top_p=top_p)
    found = limited(torch.tensor(logits, dtype=torch.float64), settings).tolist()
    weights = sorted(((math.exp(value / temperature), at) for at, value in enumerate(logits)), reverse=True)
    kept = weights[:top_k]
    total, chosen, reached = sum(weight for weight, _ in kept), [], 0.0
    for weight, at in kept:
        if top_p is not None and reached >= top_p - 1e-12 and chosen:
            break
        chosen.append((weight, at))
        reached += weight / total
    whole = sum(weight for weight, _ in chosen)
    expected = [0.0] * len(logits)
    for weight, at in chosen:
        expected[at] = weight / whole
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "settings", [{"temperature": 1e-40}, {"temperature": 5e-324}, {"top_p": 1e-300}, {"top_p": 5e-324}]
)
def test_settings_that_leave_no_choice_always_write_the_likeliest_symbol(settings: dict[str, float]) -> None:
    run = trained(lstm(), TEXT, {"precision": "32"})
    assert generated(run, length=9, **settings).text == generated(run, length=9, temperature=0).text


def test_predictions_come_with_the_wrong_ones_first() -> None:
    view = generated(trained(lstm(), {"name": "temporal_order", "length": 10}), sequences=40, shown=30)
    verdicts = [sample.correct for sample in view.predictions]
    assert verdicts == sorted(verdicts)
    assert len(verdicts) == 30
    assert view.total == 40
    assert view.wrong is not None
    assert verdicts.count(False) == min(view.wrong, 30)


def test_forecasts_go_on_alone_beside_the_truth() -> None:
    view = generated(trained(lstm(), {"name": "waves", "length": 20}), sequences=8, shown=7)
    assert len(view.forecasts) == 7
    assert len({tuple(forecast.truth) for forecast in view.forecasts}) == 7
    assert view.forecasts[0].alone[view.forecasts[0].given] is not None
    assert view.total == 8


# --- Rewind ------------------------------------------------------------------------------------------


def rewound(run: Trained, **settings: Any) -> RewindView:
    return cast(RewindView, asked(run, "rewind", **settings).result)


@pytest.mark.parametrize(
    ("task", "training"),
    [
        (ADDING, {"gradient_noise": 0.1}),
        (TEXT, {"k1": 6, "k2": 9, "batch_size": 8, "schedule": "linear", "optimizer": "rmsprop"}),
    ],
)
def test_the_untouched_future_is_what_the_run_itself_did_next(
    task: dict[str, Any], training: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = lstm(layers=2, dropout=0.3)  # which draws from the global generator
    config = config_of(model, task, {"steps": 12, "validate_every": 4, **training})
    service = ServiceInMemory()
    taken = service.train_keeping_checkpoints(config, monkeypatch)
    step, data = next((step, data) for step, data in taken if step == 4)
    view = rewound(Trained(config, step, data), updates=6, learning_rate=0.05)
    assert view.steps == [5, 6, 7, 8, 9, 10]
    for key, values in (
        ("loss", view.untouched.loss),
        ("gradient_norm/before_clip", view.untouched.norm_before),
        ("gradient_norm/after_clip", view.untouched.norm_after),
    ):
        expected = [service.points(key)[step] for step in view.steps]
        assert values == pytest.approx(expected, rel=1e-4)
    assert view.changed.loss[0] == view.untouched.loss[0]  # the change shows after the first update
    assert view.changed.loss[1:] != view.untouched.loss[1:]
    assert view.changes == {"clip": "norm → off", "learning_rate": "0.001 → 0.05"}


def test_a_finished_run_goes_on_and_another_truncation_begins_its_batch_anew() -> None:
    run = trained(lstm(), TEXT, {"k1": 6, "k2": 9, "batch_size": 8})
    assert run.step == 3  # in the middle of a batch
    view = rewound(run, updates=5, clip="as it was", k1=10, k2=20)
    assert len(view.untouched.loss) == len(view.changed.loss) == 5
    assert "anew" in view.note
    assert view.changes == {"k1": "6 → 10", "k2": "9 → 20"}
    assert view.changed.ended is None


def test_what_is_not_chosen_is_the_clip_switched_and_as_many_updates_as_are_quick() -> None:
    view = rewound(trained(lstm(), ADDING))
    assert view.changes == {"clip": "norm → off"}
    assert len(view.steps) == 50
    assert rewound(trained(lstm(), ADDING, {"clip": None})).changes == {"clip": "off → norm"}
    long = trained(lstm(hidden_size=64), {"name": "adding", "length": 300}, {"batch_size": 128})
    assert 2 <= len(rewound(long).steps) < 10


def test_a_future_that_breaks_says_why_and_the_other_goes_on() -> None:
    linear = {"name": "elman", "hidden_size": 6, "nonlinearity": "linear"}
    run = trained(linear, ADDING, {"optimizer": "sgd", "precision": "32"})
    view = rewound(run, updates=20, learning_rate=10)
    assert len(view.untouched.loss) == 20
    assert view.untouched.ended is None
    assert "became" in str(view.changed.ended)
    assert len(view.changed.loss) < 20


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"clip": "as it was"}, "settings.clip"),
        ({"k2": 3}, "settings.k2"),
        ({"clip": "norm"}, "settings.clip"),
    ],
)
def test_a_rewind_that_cannot_be_done_names_the_setting(settings: dict[str, Any], field: str) -> None:
    status, body = asked_raw(trained(lstm(), ADDING), "rewind", **settings)
    assert (status, body["errors"][0]["field"]) == (422, field)
