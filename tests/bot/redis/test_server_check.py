"""What the servers promise: asked of real ones, configured well and badly."""

import asyncio
import logging
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.embedded.server import Embedded
from bot.redis.connector import PoolConnector, connect
from bot.redis.server_check import Finding, Server, ServerAway, UnfitServer, ask, check, judge, reach, refuse_unfit

GOOD = Server("Valkey 9.1.2", (9, 1, 2), "noeviction", "always", False, True, 0)


async def findings_of(folder: Path, **config: str) -> list[Finding]:
    extra = {name.replace("_", "-"): value for name, value in config.items()}
    async with Embedded(folder / "valkey", extra=extra) as server, Redis.from_url(server.url) as client:
        return await check([client])


@pytest.mark.parametrize(
    ("config", "level", "said"),
    [
        ({}, logging.INFO, "survives a crash and a power cut"),
        ({"appendfsync": "everysec"}, logging.INFO, "may lose one second"),
        ({"appendfsync": "no"}, logging.WARNING, "appendfsync no"),
        ({"appendonly": "no"}, logging.WARNING, "everything is lost when the server stops"),
        ({"appendonly": "no", "save": "60 1"}, logging.WARNING, "after the last snapshot is lost"),
    ],
)
async def test_the_promise_is_that_of_the_server(tmp_path: Path, config: dict[str, str], level: int, said: str) -> None:
    (finding,) = await findings_of(tmp_path, **config)
    assert finding.level == level
    assert said in finding.text


async def test_a_server_that_may_drop_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnfitServer, match=r"maxmemory-policy allkeys-lru.*Set `maxmemory-policy noeviction`"):
        await findings_of(tmp_path, maxmemory_policy="allkeys-lru")


async def test_a_server_without_expiry_events_is_told_of(tmp_path: Path) -> None:
    texts = [finding.text for finding in await findings_of(tmp_path, notify_keyspace_events="")]
    assert any("notify-keyspace-events lacks Ex" in text for text in texts)


async def test_where_config_is_forbidden_nothing_is_promised(tmp_path: Path) -> None:
    async with Embedded(tmp_path / "valkey") as server:
        async with Redis.from_url(server.url) as admin:
            await admin.acl_setuser("hosted", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-config"])
        async with Redis.from_url(server.url, username="hosted", password="") as client:
            said = await ask(client)
            findings = judge(said)
    assert (said.policy, said.expiry_events) == ("noeviction", None)
    assert findings[0].level == logging.WARNING
    assert "can't be checked" in findings[0].text


async def test_where_everything_is_forbidden_everything_is_said_to_be_unknown(tmp_path: Path) -> None:
    async with Embedded(tmp_path / "valkey") as server:
        async with Redis.from_url(server.url) as admin:
            await admin.acl_setuser("guest", enabled=True, nopass=True, keys=["*"], commands=["+ping"])
        async with Redis.from_url(server.url, username="guest", password="") as client:
            findings = judge(await ask(client))
    assert ["can't be checked" in finding.text for finding in findings] == [True, True, True]


async def test_a_cluster_is_judged_by_all_its_primaries(valkey_cluster_url: str) -> None:
    connector = connect(valkey_cluster_url)
    first, second, *_ = await check(await reach(connector, 10))
    await connector.aclose()
    assert first.text == "3 primaries"
    assert second.text.startswith("Valkey ")


def test_replicas_add_what_a_failover_may_lose() -> None:
    server = Server("Valkey 9.1.2", (9, 1, 2), "noeviction", "always", False, True, replicas=1)
    assert "failover may lose" in judge(server)[0].text
    assert "failover" not in judge(GOOD)[0].text


@pytest.mark.parametrize(
    ("connected", "level", "said"),
    [
        (0, logging.WARNING, "(ASSENT_REPLICAS=2), but 0 are connected"),
        (1, logging.WARNING, "(ASSENT_REPLICAS=2), but 1 are connected"),
        (2, logging.INFO, "have one more"),
        (3, logging.INFO, "when 2 replicas have it, and survives a failover to one of them (3 connected)"),
        (None, logging.WARNING, "how many are connected can't be checked"),
    ],
)
def test_what_waiting_for_replicas_promises(connected: int | None, level: int, said: str) -> None:
    server = Server("Valkey 9.1.2", (9, 1, 2), "noeviction", "always", False, True, connected)
    own, replicated = judge(server, 2)
    assert "survives a crash and a power cut" in own.text
    assert "may lose" not in own.text
    assert replicated.level == level
    assert said in replicated.text


async def test_a_server_on_which_nobody_could_be_waited_for_is_refused(tmp_path: Path) -> None:
    """Whatever changes something would be refused for ever."""
    async with Embedded(tmp_path / "valkey") as server:
        async with Redis.from_url(server.url) as admin:
            await admin.acl_setuser("hosted", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-wait"])
        async with Redis.from_url(server.url, username="hosted", password="") as client:
            assert await check([client])
            with pytest.raises(UnfitServer, match=r"does not take WAIT.*remove ASSENT_REPLICAS"):
                await check([client], 1)


@pytest.mark.parametrize(("version", "fits"), [((6, 2, 14), False), ((7, 0, 0), True), (None, True)])
def test_servers_older_than_7_are_refused(version: tuple[int, ...] | None, fits: bool) -> None:
    server = Server("Redis 6.2.14", version, "noeviction", "always", False, True, 0)
    if fits:
        refuse_unfit(server)
    else:
        with pytest.raises(UnfitServer, match=r"needs Redis 7\.0 or newer"):
            refuse_unfit(server)


async def test_a_server_that_starts_later_is_waited_for(tmp_path: Path) -> None:
    server = Embedded(tmp_path / "valkey")
    connector = connect(server.url)
    tried = asyncio.Event()

    class Observed:
        """The connector, telling when it was asked first."""

        async def primaries(self) -> list[Redis]:
            tried.set()
            return list(await connector.primaries())

    reaching = asyncio.create_task(reach(Observed(), 20))  # type: ignore[arg-type]
    await tried.wait()
    async with server:
        assert len(await reaching) == 1
        await connector.aclose()


async def test_a_server_that_is_not_there_is_given_up(tmp_path: Path) -> None:
    connector = connect("redis://127.0.0.1:1")
    with pytest.raises(ServerAway, match=r"within 0\.3 s: Error 111 connecting to 127\.0\.0\.1:1"):
        await reach(connector, 0.3)
    await connector.aclose()


async def test_a_server_that_wants_a_password_is_not_waited_for(tmp_path: Path) -> None:
    async with Embedded(tmp_path / "valkey") as server:
        async with Redis.from_url(server.url) as admin:
            await admin.config_set("requirepass", "secret")
        connector = connect(server.url)
        assert isinstance(connector, PoolConnector)
        with pytest.raises(ServerAway, match="does not take the user and password"):
            async with asyncio.timeout(10):
                await reach(connector, 60)
        await connector.aclose()
