"""A complaint over and over is told now and then."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Iterator

import pytest

from trainer import log_throttle
from trainer.log_throttle import AT_ONCE, SECONDS, Throttle


class Log:
    """A logger with a throttle, and what it let through; time passes as the test says."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.told: list[str] = []
        self.logger = logging.Logger("throttled")
        self.logger.addFilter(Throttle(lambda: self.now))
        handler = logging.Handler()
        handler.emit = lambda record: self.told.append(record.getMessage())  # type: ignore[method-assign]
        self.logger.addHandler(handler)

    def fresh(self) -> list[str]:
        told, self.told = self.told, []
        return told


@pytest.fixture
def log() -> Iterator[Log]:
    return Log()


def test_some_pass_and_then_one_now_and_then_with_the_count_of_the_others(log: Log) -> None:
    for number in range(1000):
        log.logger.error("no room for %d", number)
    assert log.fresh() == [f"no room for {number}" for number in range(AT_ONCE)]
    for round_ in range(3):
        log.now += SECONDS
        for _ in range(100):
            log.logger.error("no room for %d", 7)
        held = 1000 - AT_ONCE if round_ == 0 else 99
        assert log.fresh() == [f"no room for 7 (and {held} more like it since the last)"]


def test_other_words_and_other_levels_are_not_held_back_with_it(log: Log) -> None:
    for _ in range(100):
        log.logger.error("no room")
    log.logger.error("no light")
    log.logger.warning("no room")
    assert log.fresh()[AT_ONCE:] == ["no light", "no room"]


def test_after_quiet_it_is_told_as_before(log: Log) -> None:
    for _ in range(AT_ONCE):
        log.logger.error("no room")
    log.now += SECONDS
    log.fresh()
    for _ in range(100):
        log.logger.error("no room")
    assert log.fresh() == ["no room"] * AT_ONCE


def test_what_asyncio_says_of_a_full_process_is_one_kind(caplog: pytest.LogCaptureFixture) -> None:
    """It writes the values into the text itself, each time others."""
    log_throttle.quieten()
    log_throttle.quieten()
    loop = asyncio.new_event_loop()
    for number in range(500):
        context = {
            "message": "socket.accept() out of system resource",
            "exception": OSError(errno.EMFILE, "Too many open files"),
            "socket": number,
        }
        loop.call_exception_handler(context)
    loop.close()
    told = [record for record in caplog.records if record.name == "asyncio"]
    assert 1 <= len(told) <= AT_ONCE
