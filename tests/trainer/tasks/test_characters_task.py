"""The characters task: one stream in parallel lanes, exact to resume, judged on text it never trains on."""

from __future__ import annotations

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.tasks.base import Batch
from trainer.tasks.characters import Characters, CharactersConfig

ALPHABET = "abcdefgh ,.\n"


def random_text(characters: int, seed: int = 0) -> str:
    return "".join(random.Random(seed).choices(ALPHABET, k=characters))


def make(text: str, length: int) -> Characters:
    return Characters(CharactersConfig(length=length), text)


def nowhere() -> torch.Generator:
    return torch.Generator()


def read(task: Characters, batch: Batch, lane: int) -> tuple[str, str]:
    """What a lane's inputs spell, and what its targets do."""
    one_hot = batch.inputs[lane]
    assert (one_hot.sum(dim=1) == 1).all()
    inputs = "".join(task.vocabulary[place] for place in one_hot.nonzero()[:, 1].tolist())
    return inputs, "".join(task.vocabulary[place] for place in batch.targets[lane].tolist())


@settings(max_examples=40, deadline=None)
@given(
    characters=st.integers(100, 900),
    length=st.integers(2, 60),
    lanes=st.integers(1, 8),
    draws=st.integers(1, 30),
)
def test_successive_draws_spell_the_training_text_as_a_ring(
    characters: int, length: int, lanes: int, draws: int
) -> None:
    """Against a second implementation by slicing a repeated string; laps of the ring are included."""
    text = random_text(characters)
    if characters - int(characters * 0.9) <= length:
        length = 2
    task = make(text, length)
    ring = text[: int(characters * 0.9)]
    endless = ring * (2 + (draws * length + 1) // len(ring) + 1)
    heard = [["", ""] for _ in range(lanes)]
    for _ in range(draws):
        batch = task.draw(lanes, nowhere())
        for lane in range(lanes):
            inputs, targets = read(task, batch, lane)
            heard[lane][0] += inputs
            heard[lane][1] += targets
    for lane in range(lanes):
        start = lane * len(ring) // lanes
        assert heard[lane][0] == endless[start : start + draws * length]
        assert heard[lane][1] == endless[start + 1 : start + 1 + draws * length]


def test_one_lap_of_all_lanes_reads_every_training_character_as_often() -> None:
    text = random_text(1_000)
    task = make(text, length=9)
    seen = torch.zeros(len(task.vocabulary))
    for _ in range(25):  # 4 lanes × 9 × 25 = the 900 training characters, once
        seen += task.draw(4, nowhere()).inputs.sum(dim=(0, 1))
    assert seen.tolist() == [text[:900].count(character) for character in task.vocabulary]


@pytest.mark.parametrize("draws", [0, 1, 7, 40])
def test_seeking_a_position_continues_the_stream_exactly(draws: int) -> None:
    text = random_text(700)
    through, resumed = make(text, 13), make(text, 13)
    for _ in range(draws):
        through.draw(3, nowhere())
    position = through.position()
    resumed.draw(3, nowhere())  # wherever it was before
    resumed.seek(position)
    for _ in range(5):
        ours, theirs = through.draw(3, nowhere()), resumed.draw(3, nowhere())
        assert torch.equal(ours.inputs, theirs.inputs)
        assert torch.equal(ours.targets, theirs.targets)
    assert through.position() == resumed.position()


def test_validation_does_not_move_the_stream() -> None:
    task = make(random_text(700), 13)
    task.draw(3, nowhere())
    before = task.position()
    task.draw_validation(5, nowhere())
    assert task.position() == before


def test_validation_reads_random_places_of_the_last_tenth_and_nothing_else() -> None:
    text = "a b" * 300 + "".join(
        chr(0x100 + place) for place in range(100)
    )  # the tenth's places are told apart
    task = make(text, length=7)
    batch = task.draw_validation(3_000, torch.Generator().manual_seed(2))
    starts = set()
    for lane in range(3_000):
        inputs, targets = read(task, batch, lane)
        start = ord(inputs[0]) - 0x100
        starts.add(start)
        assert inputs == text[900 + start : 907 + start]
        assert targets == text[901 + start : 908 + start]
    assert starts == set(range(93))


@given(characters=st.integers(100, 900), length=st.integers(2, 9), symbols=st.integers(2, 1000))
def test_chunks_to_look_through_are_that_much_of_the_last_tenth_and_nothing_twice(
    characters: int, length: int, symbols: int
) -> None:
    text = "".join(chr(0x4E00 + place) for place in range(characters))  # each character tells its place
    task, kept = make(text, length), text[int(characters * 0.9) :]
    chunks = [task.decode(chunk) for chunk in task.validation_chunks(symbols)]
    read = "".join(chunks)
    assert all(chunk in kept and len(chunk) <= length for chunk in chunks)
    assert len(set(read)) == len(read)
    wanted = min(symbols, len(kept))
    assert wanted - len(chunks) < len(read) <= wanted


def test_training_never_reads_the_validation_text() -> None:
    task = make("ab c" * 225 + "z" * 100, length=11)
    for _ in range(100):
        inputs = task.draw(2, nowhere()).inputs
        assert inputs[..., task.vocabulary.index("z")].sum() == 0


def test_the_vocabulary_is_every_character_of_the_whole_text_sorted() -> None:
    text = random_text(900) + "é∂😀" * 40
    task = make(text, length=5)
    assert list(task.vocabulary) == sorted(set(text))
    assert task.input_size == task.output_size == len(set(text))


@given(text=st.text(alphabet=ALPHABET))
def test_decode_undoes_encode(text: str) -> None:
    task = make(random_text(600), 5)
    ids = task.encode(text)
    assert ids.dtype == torch.int64
    assert ids.tolist() == [task.vocabulary.index(character) for character in text]
    assert task.decode(ids) == text
    assert task.decode(ids.tolist()) == text


@pytest.mark.parametrize("stranger", ["Q", "b" + "\N{PILE OF POO}", "\ud800", "\x00"])
def test_a_character_that_was_never_read_is_refused_by_name_and_place(stranger: str) -> None:
    task = make(random_text(600), 5)
    with pytest.raises(ValueError, match="does not occur") as caught:
        task.encode("ab" + stranger)
    assert repr(stranger[-1]) in str(caught.value)
    assert f"place {len(stranger) + 1}" in str(caught.value)


def test_chance_is_the_cross_entropy_of_a_guesser_that_counted_the_training_text() -> None:
    """By hand: training has 600 a, 300 b; validation 75 a, 24 b, 1 c; one is added to each count."""
    task = make("aab" * 300 + "a" * 75 + "b" * 24 + "c", length=5)
    a, b, c = 601 / 903, 301 / 903, 1 / 903
    assert task.chance.loss == pytest.approx(
        -(0.75 * math.log(a) + 0.24 * math.log(b) + 0.01 * math.log(c)), rel=1e-12
    )
    assert task.chance.error == pytest.approx(0.25)


def test_a_blind_guesser_measures_the_chance_level_on_validation_batches() -> None:
    """Monte Carlo: constant logits scored like a network's outputs, within five standard errors."""
    text = "".join(random.Random(1).choices(ALPHABET, weights=range(1, 13), k=4_000))
    task = make(text, length=20)
    counts = torch.tensor([float(text[:3600].count(character)) for character in task.vocabulary])
    batch = task.draw_validation(2_000, torch.Generator().manual_seed(0))
    outputs = (counts + 1).log().expand(2_000, 20, -1)
    losses = task.elementwise_loss(outputs, batch.targets).mean(dim=1).double()
    assert abs(losses.mean() - task.chance.loss) < 5 * losses.std() / len(losses) ** 0.5
    wrong, total = task.score(outputs, batch)
    assert total == 40_000
    assert task.chance.error is not None
    assert wrong / total == pytest.approx(task.chance.error, abs=0.02)


def test_a_rendered_chunk_shows_characters_targets_and_guesses() -> None:
    task = make(random_text(600), length=6)
    batch = task.draw_validation(2, torch.Generator().manual_seed(0))
    outputs = torch.nn.functional.one_hot(batch.targets, len(task.vocabulary)).float()
    outputs[1, 2] = outputs[1, 2].roll(1)
    inputs, targets = read(task, batch, 1)
    sample = task.render(batch, outputs, 1)
    assert sample.channels[0].values == list(inputs)
    assert sample.target == targets
    assert [place for place in range(6) if sample.prediction[place] != targets[place]] == [2]
    assert not sample.correct
    assert sample.detail == "5 of 6 characters right"
    assert task.render(batch, outputs, 0).correct
    assert task.score(outputs, batch) == (1, 12)


def test_no_error_rate_counts_as_solved() -> None:
    assert not make(random_text(600), 5).is_solved(0, 10_000)


@pytest.mark.parametrize("characters", [60, 600, 5_000])
def test_a_prompt_is_validation_text_and_follows_the_generator(characters: int) -> None:
    text = random_text(characters)
    task = make(text, length=2)
    generator = torch.Generator().manual_seed(4)
    prompts = [task.prompt(generator) for _ in range(50)]
    for prompt in prompts:
        assert prompt
        assert prompt in text[int(0.9 * characters) :]
    generator.manual_seed(4)
    assert prompts == [task.prompt(generator) for _ in range(50)]


@pytest.mark.parametrize("length", [100, 2000])
def test_a_text_too_short_for_the_length_is_refused_with_the_longest_possible_one(length: int) -> None:
    with pytest.raises(ValueError, match="length") as caught:
        make(random_text(1_000), length)
    assert "has only 100 characters; choose a length of 99 or less" in str(caught.value)
    assert (caught.value.field, caught.value.value) == ("length", length)  # type: ignore[attr-defined]
    assert make(random_text(1_000), 99).draw_validation(2, nowhere()).length == 99
