"""The words task: what counts as a word, which words are known, and text that reads like text."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from models import MODELS
from trainer.sampling import generate_text
from trainer.tasks.words import Words, WordsConfig

SENTENCE = "The cat, don't ask, sat on 3 built-in mats. "


def make(text: str, length: int = 5, vocabulary: int = 1000) -> Words:
    return Words(WordsConfig(length=length, vocabulary=vocabulary), text)


def random_text(words: int, seed: int = 0, vocabulary: int = 30) -> str:
    """Word i has weight 1/(i + 1)."""
    known = [f"w{place}" for place in range(vocabulary)]
    weights = [1 / (place + 1) for place in range(vocabulary)]
    return " ".join(random.Random(seed).choices(known, weights, k=words))


def split(text: str) -> list[str]:
    """The words of a text, by a scanner that looks at one character at a time."""
    words: list[str] = []
    text = text.lower()
    place = 0

    def is_inside(at: int) -> bool:
        return at < len(text) and (text[at].isalnum() or text[at] == "_")

    while place < len(text):
        character = text[place]
        begin = place
        if text.startswith("<unk>", place):
            place += 5
            words.append("<unk>")
        elif is_inside(place):
            while is_inside(place) or (
                place < len(text) and text[place] in "'’-" and is_inside(place + 1) and place > begin
            ):
                place += 1
            words.append(text[begin:place])
        elif character.isspace():
            place += 1
        else:
            while place < len(text) and text[place] == character:
                place += 1
            words.append(text[begin:place][:3])
    return words


def test_words_numbers_and_punctuation_are_told_apart() -> None:
    task = make((SENTENCE + "Wait----no... ") * 20)
    ids = task.encode(SENTENCE + "wait----no...")
    assert [task.words[place] for place in ids] == [
        *["the", "cat", ",", "don't", "ask", ",", "sat", "on", "3", "built-in", "mats", "."],
        *["wait", "---", "no", "..."],
    ]


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("ab Z9_'’-.,\n(<unk>\"é"), max_size=40))
def test_a_text_is_split_as_by_a_scanner(text: str) -> None:
    task = make(SENTENCE * 20 + (text + " ") * 400)
    words = split(text)
    if not words:
        with pytest.raises(ValueError, match="no word"):
            task.encode(text)
        return
    assert [task.words[place] for place in task.encode(text)] == words


@settings(max_examples=30, deadline=None)
@given(words=st.integers(200, 800), vocabulary=st.integers(10, 40), seed=st.integers(0, 100))
def test_the_vocabulary_is_the_commonest_words_of_the_training_part_behind_the_unknown_one(
    words: int, vocabulary: int, seed: int
) -> None:
    text = random_text(words, seed)
    task = make(text, vocabulary=vocabulary)
    counts = Counter(text.split()[: int(words * 0.9)])
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    assert task.words == ("<unk>", *(word for word, _ in ranked[:vocabulary]))
    assert task.input_size == task.output_size == len(task.words)


def test_a_word_outside_the_vocabulary_is_read_and_asked_as_the_unknown_one() -> None:
    text = ("a b c d e f g h i j " * 9 + "strange unheard ") * 20
    task = make(text, length=182, vocabulary=10)
    assert task.words == ("<unk>", *"abcdefghij")
    assert task.encode("strange <unk> a").tolist() == [0, 0, 1]
    batch = task.draw(1, Generator())
    places = [place for place, word in enumerate(text.split()[:183]) if word in {"strange", "unheard"}]
    assert batch.inputs[0, :, 0].nonzero().flatten().tolist() == [place for place in places if place < 182]
    assert (batch.targets[0] == 0).nonzero().flatten().tolist() == [place - 1 for place in places]


def test_a_text_that_comes_with_unknown_words_has_one_symbol_for_them() -> None:
    """As the Penn Treebank's usual files do."""
    task = make("the <unk> of <unk> is <unk> . " * 40)
    assert task.words == ("<unk>", ".", "is", "of", "the")
    assert task.encode("<unk> never").tolist() == [0, 0]


def test_lanes_read_the_training_words_in_their_order() -> None:
    text = random_text(700)
    task = make(text, length=9)
    ring = task.encode(text)[:630]
    endless = torch.cat([ring] * 3)
    for draw in range(20):
        batch = task.draw(3, Generator())
        for lane in range(3):
            begin = lane * 630 // 3 + draw * 9
            assert torch.equal(batch.inputs[lane].argmax(dim=1), endless[begin : begin + 9])
            assert torch.equal(batch.targets[lane], endless[begin + 1 : begin + 10])


def test_chance_is_the_cross_entropy_of_a_guesser_that_counted_the_training_words() -> None:
    """A second implementation with Counter, one added to the count of every known word."""
    text = random_text(3_000, seed=3)
    task = make(text, vocabulary=12)
    known = set(task.words)
    words = [word if word in known else "<unk>" for word in text.split()]
    training, validation = words[:2700], words[2700:]
    counts = Counter(training)
    total = sum(counts[word] + 1 for word in task.words)
    loss = -sum(math.log((counts[word] + 1) / total) for word in validation) / len(validation)
    commonest = max(task.words, key=lambda word: counts[word])
    assert task.chance.loss == pytest.approx(loss, rel=1e-12)
    assert task.chance.error == pytest.approx(sum(w != commonest for w in validation) / len(validation))


def test_a_blind_guesser_measures_the_chance_level_on_validation_batches() -> None:
    text = random_text(4_000, seed=1)
    task = make(text, length=20, vocabulary=20)
    counts = torch.bincount(task.encode(text)[:3600], minlength=task.output_size)
    batch = task.draw_validation(2_000, Generator().manual_seed(0))
    outputs = (counts + 1).double().log().float().expand(2_000, 20, -1)
    losses = task.elementwise_loss(outputs, batch.targets).mean(dim=1).double()
    assert abs(losses.mean() - task.chance.loss) < 0.02
    wrong, total = task.score(outputs, batch)
    assert wrong / total == pytest.approx(task.chance.error, abs=0.02)


@pytest.mark.parametrize(
    "text",
    [
        "the cat (a cat) sat, then it left.",
        'he said "come here" and "go": well.',
        "see [x, y] and {z}; 50% of it!",
        "what's new? nothing...",
        "¿qué? ‘so’",
    ],
)
def test_words_are_put_together_as_a_person_writes_them(text: str) -> None:
    task = make((text + " ") * 100)
    assert task.decode(task.encode(text)) == text


@given(st.data())
def test_the_text_of_more_words_begins_with_that_of_the_first_few(data: st.DataObject) -> None:
    """So a continuation can be told from its prompt."""
    task = TASK
    places = st.lists(st.integers(0, len(task.words) - 1), max_size=8)
    first, more = data.draw(places), data.draw(places)
    assert task.decode([*first, *more]).startswith(task.decode(first))


TASK = make("\"it's\" (a) 'b' [c], ``d`` x-y. " * 40)


def test_a_prompt_is_validation_text_and_follows_the_generator() -> None:
    text = random_text(900)
    task = make(text)
    validation = " ".join(text.split()[810:])
    prompts = [task.prompt(Generator().manual_seed(seed)) for seed in range(20)]
    for prompt in prompts:
        assert len(prompt.split()) == 8
        assert prompt in validation
    assert prompts == [task.prompt(Generator().manual_seed(seed)) for seed in range(20)]


class Cycle(torch.nn.Module):
    """After each word of ``words``, the next one, surely."""

    def __init__(self, task: Words, words: str) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(task.output_size, task.input_size))
        ids = task.encode(words).tolist()
        with torch.no_grad():
            for now, following in zip(ids, [*ids[1:], ids[0]], strict=True):
                self.weight[following, now] = 50.0

    def initial_state(self, batch_size: int) -> None:
        del batch_size

    def forward(self, x: Tensor, state: Any = None, first: int = 0) -> tuple[Tensor, Any]:
        return (x @ self.weight.T)[:, first:], state

    def step(self, x_t: Tensor, state: Any) -> tuple[Tensor, Any]:
        return x_t @ self.weight.T, state


def test_generated_words_follow_their_prompt_with_the_right_spaces() -> None:
    task = make("one (two) three, four. " * 50)
    network: Any = Cycle(task, "one ( two ) three , four .")
    texts = generate_text(
        network, task, "one (two", length=8, temperatures=[0.5, 1.0], generator=Generator().manual_seed(0)
    )
    assert texts == [") three, four. one (two"] * 2


def test_samples_of_a_network_are_a_prompt_and_words_at_two_temperatures() -> None:
    task = make(random_text(900))
    spec = MODELS["gru"]
    network = spec.build(spec.config(), task.input_size, task.output_size, seed=0)
    batch = task.draw_validation(1, Generator().manual_seed(0))
    samples = task.samples(network, batch, Generator().manual_seed(1))
    assert [sample.temperature for sample in samples] == [0.5, 1.0]
    for sample in samples:
        assert sample.prompt == samples[0].prompt
        assert len(sample.text.split()) == 60
        assert sample.text.startswith(" ")


def test_no_error_rate_counts_as_solved_or_as_unsolved() -> None:
    assert make(random_text(600)).is_solved(0, 10_000) is None


def test_a_text_too_short_for_the_length_is_refused_with_the_longest_possible_one() -> None:
    with pytest.raises(ValueError, match="length") as caught:
        make(random_text(400), length=100)
    assert "has only 40 words; choose a length of 39 or less" in str(caught.value)
    assert make(random_text(400), length=39).draw_validation(2, Generator()).length == 39


def test_a_text_without_words_is_refused() -> None:
    with pytest.raises(ValueError, match="choose a longer text"):
        make(" \n " * 1000)
