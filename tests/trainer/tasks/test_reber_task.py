"""The embedded Reber grammar against a regular expression and an automaton drawn by hand."""

from __future__ import annotations

import math
import random
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from trainer.tasks.base import Batch
from trainer.tasks.reber import SYMBOLS, Reber, ReberConfig, possible_next

FROM_THREE = "(?:T*VPX)*T*V(?:V|PS)"
"""What may be read from the node that has the loop T, up to the last E."""
REBER = f"B(?:TS*X(?:S|X{FROM_THREE})|P{FROM_THREE})E"
EMBEDDED = re.compile(f"B(?:T{REBER}T|P{REBER}P)E")

INNER = {
    "start": {"B": "fork"},
    "fork": {"T": "loop S", "P": "loop T"},
    "loop S": {"S": "loop S", "X": "after X"},
    "loop T": {"T": "loop T", "V": "after V"},
    "after X": {"X": "loop T", "S": "last"},
    "after V": {"P": "after X", "V": "last"},
    "last": {"E": "done"},
}


def may_follow(beginning: str) -> set[str]:
    """Which symbols may come after the beginning of an embedded string."""
    if len(beginning) < 2:
        return {"B"} if not beginning else {"T", "P"}
    outer, node = beginning[1], "start"
    for place, symbol in enumerate(beginning[2:]):
        if node == "done":
            return {"E"} if place == len(beginning[2:]) - 1 else set()
        node = INNER[node][symbol]
    return {outer} if node == "done" else set(INNER[node])


def make(strings: int = 256, strings_seed: int = 0) -> Reber:
    return Reber(ReberConfig(strings=strings, strings_seed=strings_seed))


def spelled(strings: Tensor) -> list[str]:
    return ["".join(SYMBOLS[symbol] for symbol in row if symbol >= 0) for row in strings.tolist()]


def beginnings(batch: Batch, row: int) -> tuple[str, str]:
    """What a row's inputs spell, and its targets."""
    assert batch.mask is not None
    steps = int(batch.mask[row].sum())
    assert bool(batch.mask[row, :steps].all())
    assert not batch.inputs[row, steps:].any()
    assert (batch.inputs[row, :steps].sum(dim=1) == 1).all()
    inputs = "".join(SYMBOLS[symbol] for symbol in batch.inputs[row, :steps].nonzero()[:, 1].tolist())
    return inputs, "".join(SYMBOLS[symbol] for symbol in batch.targets[row, :steps].tolist())


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31 - 1))
def test_all_strings_belong_to_the_language_and_no_test_string_is_trained_on(seed: int) -> None:
    task = make(strings=64, strings_seed=seed)
    training, test = spelled(task.training), spelled(task.test)
    assert len(training) == len(test) == 64
    assert all(EMBEDDED.fullmatch(string) for string in training + test)
    assert not set(training) & set(test)
    assert [string[1] for string in test] == ["T", "P"] * 32


def test_the_published_inner_strings_are_in_the_language_of_this_test() -> None:
    """From a course page on the grammar (Orr and Schraudolph): so the test's own rules are right."""
    for inner in ("BTSSXXTVVE", "BPVVE", "BTXXVPSE", "BPVPXVPXVPXVVE", "BTSXXVPSE"):
        assert re.fullmatch(REBER, inner)
        assert EMBEDDED.fullmatch(f"BT{inner}TE")
    for inner in ("BTSSPXSE", "BPTVVB", "BTXXVVSE", "BPVSPSE", "BTSSSE"):
        assert not re.fullmatch(REBER, inner)


def test_short_strings_occur_as_often_as_the_grammar_has_it() -> None:
    """With every choice a fair coin, BTXSE has probability 1/8 and so has BPVVE."""
    training = spelled(make(strings=2048).training)
    assert len(set(training)) < len(training)  # short ones repeat
    for inner in ("BTXSE", "BPVVE"):
        share = sum(string[2:-2] == inner for string in training) / 2048
        assert abs(share - 1 / 8) < 5 * math.sqrt(1 / 8 * 7 / 8 / 2048)


@given(batch_size=st.integers(1, 12), seed=st.integers(0, 2**31))
def test_a_batch_pads_to_its_longest_string_and_asks_for_every_next_symbol(
    batch_size: int, seed: int
) -> None:
    task = make(strings=32)
    generator = torch.Generator().manual_seed(seed)
    for batch, pool in (
        (task.draw(batch_size, generator), task.training),
        (task.draw_validation(batch_size, generator), task.test),
    ):
        assert batch.mask is not None
        assert batch.length == int(batch.mask.sum(dim=1).max())
        for row in range(batch_size):
            inputs, targets = beginnings(batch, row)
            assert inputs[1:] == targets[:-1]
            assert inputs[0] + targets in spelled(pool)


def test_what_may_follow_is_what_the_second_automaton_says() -> None:
    for string in spelled(make().test)[:60]:
        symbols = torch.tensor([[SYMBOLS.index(symbol) for symbol in string[:-1]]])
        for place, row in enumerate(possible_next(symbols)[0]):
            said = {SYMBOLS[symbol] for symbol in row.nonzero().flatten().tolist()}
            assert said == may_follow(string[: place + 1])


def sets(batch: Batch) -> Tensor:
    """The wished-for sets from the second automaton."""
    wished = torch.zeros(*batch.targets.shape, len(SYMBOLS))
    for row in range(len(wished)):
        inputs, _ = beginnings(batch, row)
        for step in range(len(inputs)):
            for symbol in may_follow(inputs[: step + 1]):
                wished[row, step, SYMBOLS.index(symbol)] = 1
    return wished


def test_a_string_is_right_when_all_possible_symbols_are_more_active_than_all_others() -> None:
    task = make()
    batch = task.draw_validation(6, torch.Generator().manual_seed(1))
    noise = 0.4 * torch.rand(6, batch.length, 7, generator=torch.Generator().manual_seed(2))
    outputs = sets(batch) + noise  # in any order among themselves
    assert task.score(outputs, batch) == (0, 6)
    tied = outputs.clone()
    tied[2, 3] = 0.0
    assert task.score(tied, batch) == (1, 6)
    broken = outputs.clone()
    broken[4, 0, 0] = torch.nan
    assert task.score(broken, batch) == (1, 6)
    assert batch.mask is not None
    outputs[~batch.mask] = torch.nan  # padding is not judged
    assert task.score(outputs, batch) == (0, 6)


def test_the_teacher_shows_every_possible_symbol_and_nothing_in_the_padding() -> None:
    task = make()
    batch = task.draw_validation(6, torch.Generator().manual_seed(1))
    teacher = task.teacher(batch)
    assert batch.mask is not None
    assert torch.equal(teacher[batch.mask], sets(batch)[batch.mask])
    assert bool(teacher[~batch.mask].isnan().all())


def test_chance_is_who_knows_the_grammar_and_forgets_the_second_symbol() -> None:
    """Such a guesser, played on 20,000 test strings; the one that says T is wrong on half of them."""
    task = make()
    batch = task.draw_validation(20_000, torch.Generator().manual_seed(3))
    assert batch.mask is not None
    played: dict[str, Tensor] = {}  # the guesser's outputs for each test string
    outputs = torch.full((*batch.targets.shape, 7), -30.0)
    for row, string in enumerate(spelled(torch.where(batch.mask, batch.inputs.argmax(dim=2), -1))):
        if string not in played:
            played[string] = torch.full((len(string), 7), -30.0)
            for step in range(len(string)):
                known = {"T", "P"} if step == len(string) - 2 else may_follow(string[: step + 1])
                played[string][step, [SYMBOLS.index(symbol) for symbol in known]] = 0.0
        outputs[row, : len(string)] = played[string]
    losses = task.elementwise_loss(outputs, batch.targets)[batch.mask]
    assert float(losses.mean()) == pytest.approx(task.chance.loss, abs=0.002)
    outputs[..., SYMBOLS.index("T")] += 0.01  # leans to T where it cannot know
    score = task.score(outputs, batch)
    assert abs(score.wrong / score.total - 0.5) < 5 * 0.5 / math.sqrt(20_000)
    assert task.chance.error == 0.5


def test_solved_means_no_test_string_wrong() -> None:
    assert make().is_solved(0, 10_000)
    assert not make().is_solved(1, 10_000)


def test_a_rendered_string_shows_what_may_follow_and_the_symbol_that_had_to_be_remembered() -> None:
    task = make()
    batch = task.draw_validation(3, torch.Generator().manual_seed(5))
    inputs, targets = beginnings(batch, 1)
    outputs = sets(batch)
    sample = task.render(batch, outputs, 1)
    symbol, follow, network = (channel.values for channel in sample.channels)
    assert "".join(map(str, symbol)) == inputs
    assert [set(str(said).split()) for said in follow] == [
        may_follow(inputs[: step + 1]) for step in range(len(inputs))
    ]
    assert network == follow
    assert (sample.target, sample.prediction, sample.correct) == (inputs[1], inputs[1], True)
    assert sample.informative == [1]
    other = "P" if inputs[1] == "T" else "T"
    outputs[1, len(inputs) - 2] = outputs[1, len(inputs) - 2].roll(
        SYMBOLS.index(other) - SYMBOLS.index(inputs[1])
    )
    sample = task.render(batch, outputs, 1)
    assert (sample.prediction, sample.correct) == (other, False)
    assert sample.detail.startswith(f"{len(targets) - 1} of {len(targets)} predictions right")


def test_another_seed_of_the_strings_draws_others_and_the_same_seed_the_same() -> None:
    random.seed(1)
    ours = spelled(make(strings_seed=4).training)
    random.seed(2)
    assert spelled(make(strings_seed=4).training) == ours
    assert spelled(make(strings_seed=5).training) != ours


@pytest.mark.parametrize("strings", [0, 3, 4096])
def test_odd_and_too_many_strings_are_refused(strings: int) -> None:
    with pytest.raises(ValidationError, match="strings"):
        ReberConfig(strings=strings)
