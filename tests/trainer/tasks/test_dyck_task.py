"""Bracket sequences, read by a second parser with a stack."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from trainer.tasks.base import Batch
from trainer.tasks.dyck import Dyck, DyckConfig

CLOSES = {"(": ")", "[": "]", "{": "}", "<": ">"}


def make(length: int = 30, kinds: int = 2, depth: int = 4) -> Dyck:
    return Dyck(DyckConfig(length=length, kinds=kinds, depth=depth))


def spelled(task: Dyck, batch: Batch, row: int) -> str:
    assert (batch.inputs[row].sum(dim=1) == 1).all()
    return "".join(task.symbols[channel] for channel in batch.inputs[row].nonzero()[:, 1].tolist())


def may_follow(beginning: str, kinds: int, depth: int) -> set[str]:
    """Reads with a stack of the brackets that are still to come; raises where a bracket does not fit."""
    due: list[str] = []
    for bracket in beginning:
        if bracket in CLOSES:
            due.append(CLOSES[bracket])
        elif due.pop() != bracket:
            raise AssertionError(f"{bracket} does not fit in {beginning}")
        assert len(due) <= depth
    return set(list(CLOSES)[:kinds] if len(due) < depth else []) | set(due[-1:])


@settings(deadline=None)
@given(
    length=st.integers(4, 60),
    kinds=st.integers(1, 4),
    depth=st.integers(2, 9),
    seed=st.integers(0, 2**31),
)
def test_sequences_are_well_nested_and_the_sets_are_those_of_a_stack(
    length: int, kinds: int, depth: int, seed: int
) -> None:
    task = make(length, kinds, depth)
    batch = task.draw(3, torch.Generator().manual_seed(seed))
    assert batch.inputs.shape == batch.targets.shape == (3, length, 2 * kinds)
    for row in range(3):
        text = spelled(task, batch, row)
        for step in range(length):
            said = {task.symbols[i] for i in batch.targets[row, step].nonzero().flatten().tolist()}
            assert said == may_follow(text[: step + 1], kinds, depth)


def test_where_both_may_happen_opening_and_closing_are_equally_likely_as_are_the_kinds() -> None:
    task = make(length=40, kinds=3, depth=5)
    batch = task.draw(3_000, torch.Generator().manual_seed(1))
    free = batch.targets[:, :-1].sum(dim=2) == 4  # three to open, one to close
    following = batch.inputs[:, 1:][free]
    shares = following.mean(dim=0)
    assert abs(float(shares[:3].sum()) - 0.5) < 5 * 0.5 / len(following) ** 0.5
    assert ((shares[:3] - 1 / 6).abs() < 5 * (5 / 36 / len(following)) ** 0.5).all()


@pytest.mark.parametrize(("length", "kinds", "depth"), [(30, 2, 4), (9, 1, 2), (25, 1, 6), (40, 4, 3)])
def test_chance_is_who_sees_the_current_bracket_and_remembers_nothing(
    length: int, kinds: int, depth: int
) -> None:
    """The best answer to each bracket, fitted to 20,000 sequences; and every set tried after each."""
    task = make(length, kinds, depth)
    batch = task.draw(20_000, torch.Generator().manual_seed(2))
    fitted, right = torch.zeros_like(batch.targets), 0
    for channel in range(2 * kinds):
        here = batch.inputs[..., channel] == 1
        asked = batch.targets[here]
        fitted[here] = asked.mean(dim=0)
        codes = (asked * 2 ** torch.arange(2 * kinds)).sum(dim=1).long()
        right += int(codes.bincount().max())  # the commonest set is the best guess
    assert float(task.elementwise_loss(fitted, batch.targets).mean()) == pytest.approx(
        task.chance.loss, rel=0.02
    )
    assert 1 - right / batch.scored_count() == pytest.approx(task.chance.error, abs=0.005)


def test_chance_equals_the_average_over_every_sequence_of_a_short_length() -> None:
    """All walks of eight brackets listed, each with its probability: no drawing, no recurrence."""
    length, kinds, depth = 8, 2, 3
    tallies: dict[str, dict[frozenset[str], float]] = {}
    for ups in itertools.product((True, False), repeat=length):
        level, weight, text, stack = 0, 1.0, "", list[str]()
        for up in ups:
            if (level == 0 and not up) or (level == depth and up):
                weight = 0.0
                break
            weight *= 1.0 if level in (0, depth) else 0.5
            text += "(" if up else ")"
            level += 1 if up else -1
        if not weight:
            continue
        for choice in itertools.product("([", repeat=text.count("(")):
            kind, word, stack = iter(choice), "", []
            for bracket in text:
                if bracket == "(":
                    stack.append(next(kind))
                    word += stack[-1]
                else:
                    word += CLOSES[stack.pop()]
                found = tallies.setdefault(word[-1], {})
                answer = frozenset(may_follow(word, kinds, depth))
                found[answer] = found.get(answer, 0.0) + weight / kinds ** len(choice)
    loss, right = 0.0, 0.0
    for found in tallies.values():
        total = sum(found.values())
        right += max(found.values())
        for symbol in "([)]":
            share = sum(weight for answer, weight in found.items() if symbol in answer) / total
            loss += total * share * (1 - share) / 4
    chance = make(length, kinds, depth).chance
    assert chance.loss == pytest.approx(loss / length, rel=1e-12)
    assert chance.error == pytest.approx(1 - right / length, rel=1e-12)


def test_a_prediction_is_right_when_every_output_is_on_its_side_of_one_half() -> None:
    task = make(length=10)
    batch = task.draw(2, torch.Generator().manual_seed(3))
    outputs = 0.51 * batch.targets + 0.49 * (1 - batch.targets)
    assert task.score(outputs, batch) == (0, 20)
    outputs[0, 3, 1] = 1 - outputs[0, 3, 1]
    outputs[1, 7] = torch.nan
    assert task.score(outputs, batch) == (2, 20)


def test_solved_means_that_under_one_percent_of_the_sequences_can_hold_a_wrong_prediction() -> None:
    task = make(length=30)
    assert task.is_solved(99, 30 * 10_000)
    assert not task.is_solved(100, 30 * 10_000)


def test_a_rendered_sequence_names_the_first_wrong_prediction() -> None:
    task = make(length=12)
    batch = task.draw(2, torch.Generator().manual_seed(4))
    perfect = task.render(batch, batch.targets, 1)
    assert (perfect.correct, perfect.detail) == (True, "")
    assert "".join(map(str, perfect.channels[0].values)) == spelled(task, batch, 1)
    outputs = batch.targets.clone()
    outputs[1, 4] = 0.0
    sample = task.render(batch, outputs, 1)
    asked = perfect.channels[1].values[4]
    assert (sample.target, sample.prediction) == ("12 sets right", "11 sets right")
    assert sample.detail == f"first wrong at timestep 5: {asked} may follow, the network says none"


def test_sizes_do_not_depend_on_the_length() -> None:
    assert {(make(n).input_size, make(n).output_size) for n in (4, 31, 2000)} == {(4, 4)}


@pytest.mark.parametrize(
    ("field", "value"), [("length", 3), ("kinds", 0), ("kinds", 5), ("depth", 1), ("depth", 21)]
)
def test_settings_out_of_range_are_refused(field: str, value: int) -> None:
    with pytest.raises(ValidationError, match=field):
        DyckConfig(**{field: value})
