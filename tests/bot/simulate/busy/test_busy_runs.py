"""Whole busy shops, as anybody would start them, and through gateways that run here."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bot.shopfile import DEMO, load
from bot.simulate.busy.hours import with_people

ROOT = Path(__file__).parents[4]
LIMIT = 120.0
SEEDS = range(5, 9)
"""Plays, of which a slow machine may need more than one: what people come to do in their time is a matter of chance."""


def test_a_busy_shop_on_a_bad_network_that_loses_a_gateway():
    """As a process, with gateways of its own, one of which is killed and replaced."""
    command = [sys.executable, "-m", "bot", "simulate", "--json", "--buyers", "20", "--agents", "4"]
    ended = subprocess.run(
        [*command, "--cuts", "30", "--kill-gateway"], cwd=ROOT, capture_output=True, text=True, timeout=LIMIT
    )
    assert ended.stdout, ended.stderr
    report = json.loads(ended.stdout.splitlines()[-1])
    assert report["violations"] == []
    assert ended.returncode == 0
    assert (report["buyers"], report["agents"], report["gateways_killed"]) == (20, 4, 1)
    for figure in ("messages", "replies", "assigned", "waited", "closed", "reopened", "reads", "overdue", "cards"):
        assert report[figure] > 0, figure


def test_without_a_fault_there_is_nothing_to_find(play):
    """The play of the planted faults, until everything that may happen did."""
    happened: Counter[str] = Counter()
    for seed in SEEDS:
        report = play(seed=seed)
        assert report.violations == []
        happened.update({what: getattr(report, what) for what in ("cards", "overdue", "reminders")})
        if all(happened.values()):
            return
    pytest.fail(f"in {len(SEEDS)} plays there were {dict(happened)}")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--buyers", 5, "--negotiations", 5], "leave out --negotiations, --changes and --url"),
        (["--buyers", 5, "--url", "ws://127.0.0.1:1/ws"], "leave out --negotiations, --changes and --url"),
        (["--buyers", 5, "--answers", "agree=1,transfer=1"], "leave transfer out of --answers"),
        (["--kill-gateway"], "give --buyers too"),
        (["--buyers", 0], "--buyers"),
    ],
)
def test_what_cannot_be_played_is_said(arguments, what, simulate):
    played = simulate(*arguments)
    assert played.status == 2
    assert what in played.err


def test_people_that_the_file_lacks_are_made_up():
    file = load(DEMO)
    more = with_people(file, 20, 5)
    assert len(more.buyers) == 20
    assert len(more.agents) == 5
    assert set(file.buyers) < set(more.buyers)
    assert len({person.id for person in (*more.buyers, *more.agents)}) == 25
    assert with_people(file, 1, 1).buyers[0] in file.buyers
