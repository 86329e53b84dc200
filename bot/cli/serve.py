"""`serve`: one gateway in production."""

import json
import logging
from typing import Annotated, Literal

import typer
from redis.exceptions import RedisError

from bot.app import House
from bot.cli.environment import read_settings
from bot.cli.listening import listening
from bot.cli.open_files import allow_open_files
from bot.cli.running import calm_collector, log_to_stderr, run, told_to_stop
from bot.redis.connector import Connector, connect
from bot.redis.server_check import ServerAway, check, reach
from bot.settings import Settings

log = logging.getLogger(__name__)

_OTHER_FILES = 200
"""Files besides sessions: connections to Redis and the order system, requests for pages, the process's own."""
WAIT = 15.0
"""Seconds that the server may take to answer at start."""


def serve_command(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.", show_default="ASSENT_HOST, or 127.0.0.1")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port; 0 takes a free one.", show_default="ASSENT_PORT, or 8080"),
    ] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds that Redis may take to answer at start.")] = WAIT,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        typer.Option(envvar="ASSENT_LOG_LEVEL", help="What is logged to stderr, from this level on."),
    ] = "info",
    as_json: Annotated[bool, typer.Option("--json", help="Tell the address as one line of JSON on stdout.")] = False,
) -> None:
    """Run a gateway.

    It needs REDIS_URL and ASSENT_SECRET; every other setting has a default, and a variable ASSENT_…
    Any number of gateways with the same two serve the same shops. SIGTERM and Ctrl-C drain: what is under way is
    answered, everybody is told to come back elsewhere, and the exit status is 0.

    For example:

      export REDIS_URL=redis://127.0.0.1:6379/0
      export ASSENT_SECRET=$(openssl rand -hex 32)
      python -m bot serve --host 0.0.0.0 --port 8080
      ASSENT_ANSWER_WINDOW=1800 python -m bot serve --port 0 --json
    """
    log_to_stderr(log_level)
    settings = read_settings(host=host, port=port)
    settings = settings.model_copy(update={"sessions_at_once": _room_for(settings.sessions_at_once)})
    run(_serve(settings, connect(settings.redis_url, settings.replicas), wait, as_json=as_json))


def _room_for(sessions: int) -> int:
    """As many of these sessions as there may be, each of which is an open file."""
    needed = sessions + _OTHER_FILES
    if (allowed := allow_open_files(needed)) >= needed:
        return sessions
    room = max(1, allowed - _OTHER_FILES)
    log.warning(
        "Only %d files may be open here, so %d sessions get in and not %d: "
        "allow %d (ulimit -n, LimitNOFILE=), or set ASSENT_SESSIONS_AT_ONCE.",
        allowed,
        room,
        sessions,
        needed,
    )
    return room


async def _serve(settings: Settings, connector: Connector, wait: float, *, as_json: bool) -> None:
    try:
        await report_server(connector, wait, settings.replicas)
    except BaseException:
        await connector.aclose()
        raise
    async with listening(House(settings, connector), settings.host, settings.port) as address:
        if as_json:
            line = json.dumps({"url": address.url, "ws": address.ws, "host": address.host, "port": address.port})
        else:
            line = f"Listening on {address.url} (websockets: {address.ws})"
        typer.echo(line)
        calm_collector()
        await told_to_stop()


async def report_server(connector: Connector, wait: float, replicas: int = 0) -> None:
    """Reach the servers, and log what they promise where so many `replicas` are waited for.

    Raises ServerAway, UnfitServer.
    """
    try:
        findings = await check(await reach(connector, wait), replicas)
    except RedisError as error:
        raise ServerAway(f"The server went away while it was asked what it promises: {error}") from error
    for finding in findings:
        log.log(finding.level, finding.text)
