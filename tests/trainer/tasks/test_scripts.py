"""Texts whose symbols a task cannot tell apart."""

from __future__ import annotations

import pytest

from trainer.config import resolve
from trainer.corpora import builtin_corpora
from trainer.errors import ConfigError
from trainer.schema import RunConfig
from trainer.tasks.scripts import words_are_apart

JOINED = {
    "Chinese": "他走进房间,看见桌子上放着一本很旧的书。窗外正下着大雨,街上没有一个人。",
    "a Chinese poem": "床前明月光,疑是地上霜。举头望明月,低头思故乡。",
    "Japanese": "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "Thai": "กาลครั้งหนึ่งนานมาแล้ว มีกระต่ายตัวหนึ่งอาศัยอยู่ในป่า มันวิ่งเร็วมากและชอบโอ้อวด",
    "Lao": "ກາລະຄັ້ງໜຶ່ງມີກະຕ່າຍໂຕໜຶ່ງອາໄສຢູ່ໃນປ່າ",
    "Khmer": "កាលពីព្រេងនាយមានទន្សាយមួយរស់នៅក្នុងព្រៃ។",
    "Burmese": "ရှေးရှေးတုန်းက ယုန်တစ်ကောင်ရှိခဲ့သည်။ သူအလွန်မြန်သည်။",
}
APART = {
    "Korean": "옛날 옛적에 한 마을에 토끼가 살고 있었습니다. 토끼는 매우 빨랐습니다.",
    "Hindi": "एक समय की बात है, एक जंगल में एक खरगोश रहता था।",
    "Arabic": "كان يا ما كان في قديم الزمان أرنب سريع",
    "Japanese, cut into words": "吾輩 は 猫 で ある 。 名前 は まだ 無い 。 どこ で 生れ た か",
    "Thai, cut into words": "กาล ครั้ง หนึ่ง นาน มา แล้ว มี กระต่าย ตัว หนึ่ง อาศัย อยู่ ใน ป่า",
    "English that quotes": "The sentence 我非常喜欢这只猫 means that I like this cat very much, said the "
    "teacher to the children, who wrote it down slowly, one stroke after the other.",
    "numbers": "1 2 3 4, 5",
}


@pytest.mark.parametrize("text", JOINED.values(), ids=JOINED)
def test_words_without_spaces_between_them_are_seen(text: str) -> None:
    assert not words_are_apart(text)
    assert not words_are_apart("The title, in English, and by whom.\n" + text * 200)


@pytest.mark.parametrize("text", APART.values(), ids=APART)
def test_words_with_spaces_between_them_are_told_by_these(text: str) -> None:
    assert words_are_apart(text)


def test_only_the_beginning_and_the_middle_of_a_long_text_are_looked_at() -> None:
    english = "the cat sat on the mat " * 5_000
    assert not words_are_apart(english + JOINED["Chinese"] * 20_000)


def launched(task: str, text: str, *, is_new: bool = True) -> str:
    """What is wrong with learning a text; empty for nothing."""
    config = RunConfig(model={"name": "gru"}, task={"name": task, "corpus": "mine"})
    try:
        resolve(config, lambda _: text, is_new=is_new)
    except ConfigError as error:
        (wrong,) = error.errors
        assert wrong.field == "task.corpus"
        return f"{wrong.problem}; {wrong.remedy}"
    return ""


def test_a_new_run_of_words_on_such_a_text_is_refused_and_a_stored_one_goes_on() -> None:
    text = JOINED["Chinese"] * 200
    assert "does not separate words by spaces" in launched("words", text)
    assert "choose the task Characters," in launched("words", text)
    assert launched("words", text, is_new=False) == ""
    assert launched("characters", text) == ""


def test_distinct_characters_count_where_they_are_fed_in() -> None:
    many = " ".join(chr(0x4E00 + place) for place in range(2_100)) * 2
    assert launched("words", many) == ""
    assert "2,101 distinct characters" in launched("characters", many)
    unspaced = many.replace(" ", "")
    assert "rare characters replaced (it takes 2,000)" in launched("words", unspaced)


def test_the_built_in_text_has_words() -> None:
    assert words_are_apart(builtin_corpora()["python-topics"].text)
