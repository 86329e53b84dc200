"""The checker: silent on an honest run, and loud on every lie, with the check that the lie is about.

The run is recorded once; each lie, in `lies`, is told into a copy of it. So every check is seen red, and by what it is
for.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from bot.embedded.server import Embedded
from tests.faults.lies import cards, commands, deadlines, leftovers, logs, notices, orders, privacy, told
from tests.faults.lies.honest import record
from tests.faults.lies.run import TERMS, Lie, Run
from tests.faults.torture.checker import CHECKS, check
from tests.faults.torture.stores import Promise
from tests.standing import run as run_alone

TOPICS = (cards, deadlines, commands, orders, notices, logs, told, privacy, leftovers)
LIES = [each for topic in TOPICS for each in vars(topic).values() if isinstance(each, Lie)]


@pytest.fixture(scope="module")
def folder(valkey_server: Embedded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An honest run, as a run leaves it on disk."""
    with Redis.from_url(valkey_server.url) as client:
        client.flushall()
    folder = tmp_path_factory.mktemp("torture")
    run_alone(record(valkey_server.url, folder))
    return folder


def test_an_honest_run_is_not_objected_to(folder: Path) -> None:
    run = Run(folder)
    assert check(run.history, run.final, TERMS) == []
    states = {card["state"] for card in run.final.proposals.values()}
    assert states == {"agreed", "rejected", "withdrawn", "invalid", "timed_out"}
    assert run.find("told", type="reset"), "nobody was shown a page"
    assert len(run.find("lost", "buyer lin-wan")) > 1, "nobody was cut off"


@pytest.mark.parametrize("lie", LIES, ids=[lie.name for lie in LIES])
def test_a_lie_is_found_by_the_check_that_it_is_about(folder: Path, lie: Lie) -> None:
    run = Run(folder)
    lie.tell(run)
    red = run.red()
    assert lie.about in red
    assert red <= {lie.about, *lie.others}


def test_every_check_has_its_lie() -> None:
    assert {lie.about for lie in LIES} == set(CHECKS)


UNKEPT = [
    cards.a_consent_becomes_a_refusal,
    cards.two_answers_are_accepted,
    commands.another_reply_to_the_same_id,
    commands.another_seq,
    commands.beyond_the_log,
    commands.read_and_forgotten,
]


@pytest.mark.parametrize("lie", UNKEPT, ids=[lie.name for lie in UNKEPT])
def test_where_nothing_is_promised_what_was_acknowledged_may_be_lost(folder: Path, lie: Lie) -> None:
    run = Run(folder)
    lie.tell(run)
    assert run.red(replace(TERMS, promises=Promise.MAY_LOSE)) <= {"effect", "mark"}


def test_a_person_may_give_up_while_something_is_broken(folder: Path) -> None:
    run = Run(folder)
    commands.given_up_for_nothing.tell(run)
    gave_up = run.find("gave_up")[0]
    run.broken("gateway_killed", gave_up, gave_up)
    assert run.red() == set()


@pytest.mark.parametrize(("mended_s", "red"), [(56, set()), (54, {"late"})])
def test_a_timeout_may_be_as_late_as_what_was_broken_and_the_bound(folder: Path, mended_s: int, red: set[str]) -> None:
    run = Run(folder)
    entry = run.logged("timed_out")
    run.rewrite(entry, bool, bool, at_ms=entry.at_ms + 60_000)
    mended = replace(run.records[-1], wall_ms=entry.at_ms + mended_s * 1000)
    run.broken("gateway_killed", run.records[0], run.records[-1])
    run.records[-1] = replace(run.records[-1], wall_ms=mended.wall_ms)
    assert run.red() == red


def test_what_a_failover_lost_may_be_taken_back_by_a_page(folder: Path) -> None:
    run = Run(folder)
    before, _ = told.taken_back(run)
    run.broken("failover", before, before)
    assert run.red() == set()


def test_tricks_of_people_excuse_only_themselves(folder: Path) -> None:
    run = Run(folder)
    deadlines.a_timeout_much_too_late.tell(run)
    run.insert(run.records[0], "fault", "buyer chen-mo", name="away", phase="begins", detail="")
    run.insert(run.records[0], "fault", "", name="storm", phase="begins", detail="")
    assert run.red() == {"late"}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_frame_can_be_lost_or_told_twice(folder: Path, data: st.DataObject) -> None:
    run = Run(folder)
    record = data.draw(st.sampled_from(run.find("told", type="entry")))
    if data.draw(st.booleans(), "twice"):
        run.insert(record, "told", record.who, frame=record.data["frame"])
    else:
        run.records.remove(record)
    assert run.red() & {"resume", "complete"}
