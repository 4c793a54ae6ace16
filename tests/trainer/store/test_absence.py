"""A database that is away holds one caller at a time, and the log tells it once a minute."""

from __future__ import annotations

import logging

import pytest

from trainer.store import StoreAway
from trainer.store.absence import LOG_SECONDS, RETRY_SECONDS, Absence


class Clock:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_while_the_server_is_out_of_reach_one_caller_at_a_time_tries(clock: Clock) -> None:
    absence = Absence(clock)
    absence.check()
    absence.failed(StoreAway("no answer", "look"), out_of_reach=True)
    with pytest.raises(StoreAway, match="no answer"):
        absence.check()
    clock.at += RETRY_SECONDS
    absence.check()  # this one tries
    with pytest.raises(StoreAway, match="no answer"):
        absence.check()
    absence.answered()
    absence.check()


def test_a_server_that_answers_if_only_to_refuse_is_asked_by_everyone(clock: Clock) -> None:
    absence = Absence(clock)
    absence.failed(StoreAway("locked"), out_of_reach=False)
    absence.check()


def test_one_line_a_minute_and_one_at_the_end(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    absence = Absence(clock)
    for _ in range(int(3 * LOG_SECONDS)):
        absence.failed(StoreAway("no answer"), out_of_reach=True)
        clock.at += 1
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 3
    absence.answered()
    absence.answered()
    assert [record.message for record in caplog.records[3:]] == [
        "the database does its work again, after 180 s"
    ]


def test_one_failure_among_answers_is_told_at_once_and_its_end_is_not(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    absence = Absence(clock)
    absence.failed(StoreAway("locked"), out_of_reach=False)
    absence.answered()
    assert [record.message for record in caplog.records] == ["locked (for 0 s; said once a minute)"]
