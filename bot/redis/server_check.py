"""The servers at start: whether they answer, whether they are fit, and what they promise about acknowledged answers.

Law: nothing is promised that the server did not say; what could not be asked is told as unknown.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from bot.embedded.binary import OLDEST
from bot.redis.connector import Connector

_PAUSE = 0.2
"""Seconds between two attempts to reach the servers."""
_ATTEMPT = 6.0
"""Seconds that one attempt may take: a little more than a connection may (bot.redis.connector)."""
_CONFIG = ("appendonly", "appendfsync", "save", "notify-keyspace-events")


class ServerAway(Exception):
    """The server named by REDIS_URL can't be reached; the message says for how long it was tried, and why."""


class UnfitServer(Exception):
    """The server answers but would not keep what people agreed to; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Server:
    """What one primary says of itself; None where it would not say.

    `fsync` is `appendfsync`, or "off" without an append-only file; `snapshots` is whether it saves RDB files by itself.
    """

    name: str
    version: tuple[int, ...] | None
    policy: str | None
    fsync: str | None
    snapshots: bool | None
    expiry_events: bool | None
    replicas: int | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One line for the operator; `level` is one of logging's."""

    level: int
    text: str


async def reach(connector: Connector, limit: float) -> Sequence[Redis]:
    """All primaries, as soon as every one of them answers; tried for `limit` seconds. Raises ServerAway."""
    clock = asyncio.get_running_loop().time
    end = clock() + limit
    while True:
        try:
            async with asyncio.timeout(min(_ATTEMPT, max(end - clock(), 1))):
                primaries = await connector.primaries()
                await asyncio.gather(*[primary.ping() for primary in primaries])
            return primaries
        except (RedisError, OSError, TimeoutError) as error:
            # A connection that was refused for its password says so in its cause only.
            if isinstance(error.__cause__ or error, AuthenticationError | NoPermissionError):
                raise ServerAway(f"The server does not take the user and password of REDIS_URL: {error}") from error
            # Sentinel's message goes on, after a colon, for a screenful about its connections.
            why = str(error).partition(" : ")[0].rstrip(".") or "it does not answer"
        if clock() + _PAUSE >= end:
            raise ServerAway(f"The server that REDIS_URL names could not be reached within {limit:g} s: {why}.")
        await asyncio.sleep(_PAUSE)


async def check(primaries: Sequence[Redis], replicas: int = 0) -> list[Finding]:
    """What to tell the operator of these servers, where so many `replicas` are waited for (ASSENT_REPLICAS).

    Raises UnfitServer; RedisError when one goes away meanwhile.
    """
    servers = await asyncio.gather(*[ask(primary) for primary in primaries])
    for server in servers:
        refuse_unfit(server)
    if replicas:
        await asyncio.gather(*[_check_waiting(primary) for primary in primaries])
    findings = list(dict.fromkeys(finding for server in servers for finding in judge(server, replicas)))
    if len(servers) > 1:
        findings.insert(0, Finding(logging.INFO, f"{len(servers)} primaries"))
    return findings


async def ask(primary: Redis) -> Server:
    """What a server says of itself, by INFO and CONFIG GET. Raises RedisError when it is away."""
    info = await _allowed(primary.info())
    config = await _allowed(primary.config_get(*_CONFIG))
    fsync = config.get("appendfsync")
    if config.get("appendonly") == "no" or info.get("aof_enabled") == 0:
        fsync = "off"
    flags = config.get("notify-keyspace-events")
    return Server(
        name=_name(info),
        version=_version(str(info.get("valkey_version") or info.get("redis_version") or "")),
        policy=info.get("maxmemory_policy"),
        fsync=fsync,
        snapshots=bool(config["save"]) if "save" in config else None,
        expiry_events=None if flags is None else "E" in flags and bool({"x", "A"} & set(flags)),
        replicas=info.get("connected_slaves"),
    )


def refuse_unfit(server: Server) -> None:
    """Raises UnfitServer for a server that is too old, or that may drop data for want of memory."""
    if server.version is not None and server.version < OLDEST:
        raise UnfitServer(f"{server.name} is too old: Assent needs Redis 7.0 or newer, or Valkey.")
    if server.policy not in (None, "noeviction"):
        raise UnfitServer(
            f"{server.name} has maxmemory-policy {server.policy}: short of memory it would drop conversations and "
            "cards without a word. Set `maxmemory-policy noeviction` in its configuration and start again."
        )


async def _check_waiting(primary: Redis) -> None:
    """Raises UnfitServer where nobody could be waited for: whatever changes something would be refused for ever."""
    try:
        await primary.wait(0, 1)
    except ResponseError as error:
        raise UnfitServer(
            f"ASSENT_REPLICAS is set, but the server does not take WAIT ({error}): allow it, or remove ASSENT_REPLICAS."
        ) from error


def judge(server: Server, replicas: int = 0) -> list[Finding]:
    """What this server promises where so many replicas are waited for, and what is wanted of it, in a line each."""
    level, promise = _PROMISES.get(server.fsync or "unknown", _PROMISES["unknown"])
    if server.fsync == "off" and server.snapshots:
        promise = "what came after the last snapshot is lost when the server stops (appendonly no)"
    if server.replicas and not replicas:
        promise += (
            "; a failover may lose the answers of its last moments, since replication is asynchronous "
            "(ASSENT_REPLICAS=1 loses none)"
        )
    findings = [Finding(level, f"{server.name}: {promise}.")]
    if replicas:
        findings.append(_judge_replicas(server, replicas))
    if server.policy is None:
        findings.append(
            Finding(logging.WARNING, f"{server.name}: its maxmemory-policy can't be checked; it must be noeviction.")
        )
    if server.expiry_events is not True:
        known = "can't be checked" if server.expiry_events is None else "lacks Ex, which Assent adds now"
        findings.append(Finding(logging.INFO, f"{server.name}: notify-keyspace-events {known}."))
    return findings


def _judge_replicas(server: Server, wanted: int) -> Finding:
    promise = f"an answer is acknowledged when {_have(wanted)} it, and survives a failover to one of them"
    if server.replicas is None:
        return Finding(logging.WARNING, f"{server.name}: {promise}; how many are connected can't be checked.")
    if server.replicas < wanted:
        return Finding(
            logging.WARNING,
            f"{server.name}: {promise} (ASSENT_REPLICAS={wanted}), but {server.replicas} are connected: until there "
            "are enough, whatever changes something is refused as `store_away`, to be tried again.",
        )
    alone = "; when one of them is away nothing is acknowledged, so have one more" if server.replicas == wanted else ""
    return Finding(logging.INFO, f"{server.name}: {promise} ({server.replicas} connected{alone}).")


def _have(count: int) -> str:
    return "1 replica has" if count == 1 else f"{count} replicas have"


_PROMISES = {
    "always": (
        logging.INFO,
        "an acknowledged answer survives a crash and a power cut (appendonly yes, appendfsync always)",
    ),
    "everysec": (
        logging.INFO,
        "a power cut may lose one second of acknowledged answers, two on a slow disk, when a crash may too "
        "(appendfsync everysec; `always` loses none)",
    ),
    "no": (
        logging.WARNING,
        "a power cut may lose the acknowledged answers of half a minute (appendfsync no; `always` loses none)",
    ),
    "off": (
        logging.WARNING,
        "everything is lost when the server stops (appendonly no, no snapshots); set `appendonly yes`",
    ),
    "unknown": (
        logging.WARNING,
        "what it promises can't be checked (CONFIG is forbidden); see to `appendonly yes` and `appendfsync always`",
    ),
}


async def _allowed(reply: Any) -> dict[str, Any]:
    """The reply, or nothing where the server has no such command for us, as some hosted ones."""
    try:
        told: dict[str, Any] = await reply
    except ResponseError:
        return {}
    return told


def _name(info: dict[str, Any]) -> str:
    if version := info.get("valkey_version"):
        return f"Valkey {version}"
    return f"Redis {info['redis_version']}" if "redis_version" in info else "The server"


def _version(said: str) -> tuple[int, ...] | None:
    parts = said.split(".")
    return tuple(int(part) for part in parts if part.isdigit()) or None if parts else None
