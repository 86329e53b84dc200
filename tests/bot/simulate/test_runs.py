"""Whole simulations, as anybody would start them: gateways and servers of their own, and an end that leaves nothing."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.shopfile import DEMO, load
from bot.simulate.gateways import GatewayFailed, GatewayProcess
from bot.simulate.mix import read_mix
from bot.simulate.simulation import Plan, simulate
from bot.simulate.town import own_town

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
COMMAND = (sys.executable, "-m", "bot", "simulate", "--json")
LIMIT = 60.0


def run(*arguments):
    """The status and the report."""
    command = [*COMMAND, *map(str, arguments)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT)
    assert ended.stdout, ended.stderr
    return ended.returncode, json.loads(ended.stdout.splitlines()[-1])


def figures(report, *names):
    return tuple(report[name] for name in names)


@pytest.mark.parametrize("servers", [(), ("--cluster",)], ids=["one server", "cluster"])
def test_every_change_of_the_third_party_shop(servers, tau_retail):
    """On two gateways: 42 cards, all agreed to, and 103 refusals, each of exactly the lines that were foretold."""
    shop, changes = tau_retail / "shop.json", tau_retail / "changes.jsonl"
    status, report = run("--shop", shop, "--changes", changes, *servers)
    assert report["violations"] == []
    assert status == 0
    assert figures(report, "cases", "as_expected", "cards", "refused", "agreed", "notices") == (
        145,
        145,
        42,
        103,
        42,
        42,
    )


def test_random_negotiations_with_every_answer_on_a_bad_network():
    answers = "agree=40,reject=15,ignore=10,refund=10,withdraw=10,transfer=15"
    network = ("--answer-window", "1s", "--two-devices", 40, "--cuts", 40)
    status, report = run("--negotiations", 150, "--answers", answers, *network)
    assert report["violations"] == []
    assert status == 0
    ended = figures(report, "agreed", "rejected", "timed_out", "invalid", "withdrawn")
    assert all(ended)
    assert sum(ended) == report["cards"] == 150
    assert report["notices"] == 150 - report["withdrawn"]
    assert report["cases"] == report["as_expected"] == 150 + report["refused"]
    assert 0 < report["click_to_notice_ms"]["p50"] <= report["click_to_notice_ms"]["p99"]


def test_every_corner_of_the_rules(gateway, simulate):
    """Unpaid (dearer, equal, cheaper), presales, after-sales, several lines, stock that runs out and comes back."""
    url = gateway(HERE / "corners.json", answer_window=timedelta(minutes=1))
    played = simulate("--shop", HERE / "corners.json", "--changes", HERE / "corners.jsonl", "--url", url)
    assert (played.status, played.report["violations"]) == (0, [])
    assert figures(played.report, "cases", "as_expected", "cards", "refused", "agreed") == (31, 31, 13, 18, 13)


def test_a_running_gateway_is_played_with_again_and_again(gateway, simulate):
    """Conversations that exist go on where they stood, with the agents that have them; two gateways are given.

    Nobody ignores a card here, so the window is long enough for a machine that stalls for a moment.
    """
    urls = [part for _ in range(2) for part in ("--url", gateway(answer_window=timedelta(seconds=20)))]
    for _ in range(3):
        played = simulate(*urls, "--negotiations", 30, "--answers", "agree=5,reject=3,transfer=2", "--agents", 4)
        assert (played.status, played.report["violations"]) == (0, [])
        assert played.report["cards"] == 30


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--shop", "nowhere.json"], "nowhere.json: can't be read: No such file or directory"),
        (["--answers", "agre=60"], "there is no answer 'agre'"),
        (["--answer-window", "soon"], "'soon' is no duration"),
        (["--changes", "x.jsonl", "--answers", "agree=1"], "leave out --negotiations and --answers"),
        (["--url", "ws://127.0.0.1:1/ws", "--cluster"], "leave out --gateways, --cluster"),
        (["--url", "ws://127.0.0.1:1/ws", "--answers", "agree=1"], "No gateway answers at ws://127.0.0.1:1/ws"),
    ],
)
def test_what_cannot_be_played_is_said(arguments, what, simulate):
    played = simulate(*arguments)
    assert played.status == 2
    assert what in played.err
    assert not played.report


def test_a_bad_row_is_named_by_file_line_and_field(simulate, tmp_path):
    changes = tmp_path / "changes.jsonl"
    changes.write_text('{"order_id":"o","buyer_id":"b","changes":[],"expect":"maybe"}\n', "utf-8")
    played = simulate("--changes", changes)
    assert played.status == 2
    assert f"{changes}: line 1: changes: must not be empty" in played.err
    assert f"{changes}: line 1: expect: must be one of 'card' or 'refused' (got 'maybe')" in played.err


def test_refunds_behind_a_running_gateway_need_its_redis(gateway, simulate, monkeypatch):
    url = gateway()
    monkeypatch.delenv("REDIS_URL")
    played = simulate("--url", url)
    assert played.status == 2
    assert "set REDIS_URL to theirs, or leave refund out" in played.err


def test_ignored_cards_need_a_short_window(gateway, simulate):
    played = simulate("--url", gateway(answer_window=timedelta(hours=2)), "--negotiations", 1)
    assert played.status == 2
    assert "An ignored card would take 2:00:00" in played.err


def test_a_wrong_secret_is_said(gateway, simulate, monkeypatch):
    url = gateway()
    monkeypatch.setenv("ASSENT_SECRET", "another secret, also 32 or longer")
    played = simulate("--url", url, "--answers", "agree=1")
    assert played.status == 2
    assert "token_invalid" in played.err


async def test_a_gateway_that_does_not_start_is_quoted(tmp_path):
    process = GatewayProcess(
        "Gateway 1", tmp_path / "log", {"REDIS_URL": "redis://127.0.0.1:1", "ASSENT_SECRET": "short"}
    )
    with pytest.raises(GatewayFailed, match=r"Gateway 1 did not start \(status 2\)(.|\n)*ASSENT_SECRET"):
        await process.__aenter__()


async def test_a_gateway_that_ends_by_itself_ends_the_simulation():
    plan = Plan(load(DEMO), None, 10**6, read_mix("agree=1"), None, 10, 0, 0, timedelta(seconds=5), 1)
    playing = asyncio.Event()
    async with (
        asyncio.timeout(LIMIT),
        own_town(plan.file, gateways=2, cluster=False, window=timedelta(seconds=3)) as town,
    ):
        task = asyncio.create_task(simulate(plan, town, playing.set))
        await playing.wait()
        town.gateways[1]._process.kill()
        with pytest.raises(GatewayFailed, match=r"Gateway 2 ended by itself \(status -9\)"):
            await task


@pytest.fixture
def started(short_folder: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """An endless simulation with its temporary files in a folder of the test, once a card was agreed to."""
    folder = short_folder / f"run-{time.monotonic_ns()}"
    folder.mkdir()
    process = subprocess.Popen(
        [*COMMAND, "--negotiations", "1000000"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_until(lambda: any(b'"agreed"' in log.read_bytes() for log in folder.glob("*/valkey/*/*.incr.aof")))
        yield process, folder
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate(timeout=LIMIT)


def wait_until(condition):
    ends = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.02)


def processes_of(folder):
    """Everybody who has the folder's name in their command line or environment: the simulation's own processes."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if str(folder).encode() in (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes():
                    found.add(int(entry.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_broken_off_it_leaves_nothing(sign, started):
    process, folder = started
    assert len(processes_of(folder)) >= 4
    process.send_signal(sign)
    _, said = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert processes_of(folder) == set()
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent died")
def test_killed_it_leaves_no_process(started):
    process, folder = started
    assert len(processes_of(folder)) >= 4
    process.kill()
    process.wait(LIMIT)
    wait_until(lambda: not processes_of(folder))
