"""The server's time between two readings of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot import clock as clock_module
from bot.clock import ServerClock

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


class Here:
    """This machine's clocks, wrong by an hour and moved by hand."""

    def __init__(self) -> None:
        self.passed = 1000.0

    def time(self) -> float:
        return START.timestamp() - 3600 + self.passed

    def monotonic(self) -> float:
        return self.passed


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Here:
    here: Any = Here()
    monkeypatch.setattr(clock_module, "time", here)
    return here


def test_before_any_reading_it_is_this_machines_time(here: Here) -> None:
    assert ServerClock().now() == START - timedelta(hours=1) + timedelta(seconds=1000)


def test_the_first_reading_counts_whether_it_is_later_or_earlier(here: Here) -> None:
    for off in (timedelta(hours=3), timedelta(hours=-3)):
        clock = ServerClock()
        clock.heard(START + off)
        assert clock.now() == START + off
        here.passed += 2.5
        assert clock.now() == START + off + timedelta(seconds=2.5)
        assert clock.now_ms() == round((START + off).timestamp() * 1000) + 2500


def test_a_reading_that_was_long_on_its_way_does_not_set_the_clock_back(here: Here) -> None:
    clock = ServerClock()
    clock.heard(START)
    here.passed += 1
    clock.heard(START + timedelta(seconds=0.4))
    assert clock.now() == START + timedelta(seconds=1)


def test_a_truer_reading_sets_it_forward(here: Here) -> None:
    clock = ServerClock()
    clock.heard(START)
    here.passed += 1
    clock.heard(START + timedelta(seconds=1.2))
    assert clock.now() == START + timedelta(seconds=1.2)


def test_after_half_a_minute_a_reading_is_forgotten_so_that_clocks_may_drift(here: Here) -> None:
    clock = ServerClock()
    clock.heard(START)
    here.passed += 31
    clock.heard(START + timedelta(seconds=30.8))
    assert clock.now() == START + timedelta(seconds=30.8)
