"""`demo`: everything in one process, on one folder. Law: killed at any moment, it goes on from there when started."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bot.app import House
from bot.cli.duration import read_duration
from bot.cli.environment import read_settings
from bot.cli.importing import import_with_progress
from bot.cli.listening import Address, listening
from bot.cli.running import log_to_stderr, run, told_to_stop
from bot.cli.serve import WAIT, report_server
from bot.conversation import conversation_id
from bot.demo.buyers import SimulatedBuyer, greet, play
from bot.demo.cast import CAST, FIRST_ORDER, FIRST_WORDS, SUPERVISOR, UNPLAYED
from bot.demo.folder import DemoFolder
from bot.demo.guide import Guide
from bot.demo.stage import Stage
from bot.demo.world import World
from bot.embedded.server import Embedded
from bot.orders.base import UnknownShop
from bot.orders.shop import Shop
from bot.pages import Pages
from bot.redis.connector import connect

_FOR_GOOD = timedelta(days=3650)
_TOKENS_LAST = timedelta(days=30)
_PORTS = 20
"""How many ports are tried from the wanted one on."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line says."""

    folder: DemoFolder
    host: str
    port: int
    window: timedelta | None
    pace: float
    as_json: bool


def demo_command(
    data: Annotated[Path, typer.Option(help="The folder that everything is kept in.")] = Path("var"),
    host: Annotated[str, typer.Option(help="Address to listen on; whoever reaches it can be anybody.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on, or the next free one; 0 takes any.")
    ] = 8080,
    window: Annotated[
        timedelta | None,
        typer.Option(parser=read_duration, metavar="<time>", help="To answer a card.", show_default="2h"),
    ] = None,
    pace: Annotated[
        float,
        typer.Option(
            min=0, envvar="ASSENT_DEMO_PACE", help="Multiplies the pauses of the simulated buyers; 0: they never wait."
        ),
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Tell addresses and tokens as one line of JSON.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log to stderr what happens.")] = False,
) -> None:
    """Run a whole shop on this machine, to try everything.

    A private Valkey with its data in ./var, a gateway, a shop with orders, and buyers who write, answer cards, refuse
    them or never look. Two agents and one buyer are for you: the guide that is printed begins with a page that shows
    both sides, with buttons for what the rest of the world does. Nothing is lost when it is killed: start it again and
    go on. With REDIS_URL set, that server is used instead of a private one.

    For example:

      python -m bot demo
      python -m bot demo --window 30s --data /tmp/assent-demo
      python -m bot demo --port 0 --json
    """
    log_to_stderr("info" if verbose else "warning")
    run(_demo(DemoOptions(DemoFolder(data), host, port, window, pace, as_json)))


async def _demo(options: DemoOptions) -> None:
    folder, console = options.folder, Console(highlight=False, quiet=options.as_json)
    async with _server(folder, console) as (redis_url, data):
        settings = read_settings(
            redis_url=redis_url,
            secret=folder.secret(),
            host=options.host,
            port=options.port,
            answer_window=options.window,
        )
        house = House(settings, connect(redis_url))
        try:
            await report_server(house.connector, WAIT)
            new = await _import_once(house.shop, folder)
        except BaseException:
            await house.connector.aclose()
            raise
        world = World(house, folder.shop.shop.id, UNPLAYED)
        stage = Stage(world, lambda: _who(folder), settings.host, Pages(settings.allowed_origins))
        async with (
            contextlib.AsyncExitStack() as people,
            listening(house, settings.host, settings.port, ports=_PORTS, extra=stage.routes()) as address,
        ):
            if settings.port not in (0, address.port):
                console.print(f"Port {settings.port} is in use; this one listens on {address.port}.")
            # They leave after the drain, which answers what they still have under way.
            await people.enter_async_context(_played(options, address))
            guide = _guide(folder, address, data, settings.answer_window, new=new)
            if options.as_json:
                typer.echo(json.dumps(guide.facts()))
            guide.show(console)
            await told_to_stop()
            console.print("\nStopping …")
    console.print(
        f"Stopped. `rm -r {folder.path}` forgets everything; without it, the next start goes on from here.",
        soft_wrap=True,
    )


@contextlib.asynccontextmanager
async def _server(folder: DemoFolder, console: Console) -> AsyncIterator[tuple[str, str]]:
    """The server's URL, and where its data is, in words."""
    if url := os.environ.get("REDIS_URL"):
        yield url, f"in the server that REDIS_URL names ({folder.path} keeps the secret)"
        return
    server = Embedded(folder.valkey)
    with console.status("Starting the private Valkey …"):
        await server.start()
    try:
        yield server.url, f"{folder.path} (a private Valkey; an answer is on disk before it is acknowledged)"
    finally:
        await server.stop()


async def _import_once(shop: Shop, folder: DemoFolder) -> bool:
    """Import the demo's shop unless it is there, whole; whether it was new."""
    try:
        await shop.info(folder.shop.shop.id)
    except UnknownShop:
        await import_with_progress(shop, folder.shop)
        return True
    return False


@contextlib.asynccontextmanager
async def _played(options: DemoOptions, address: Address) -> AsyncIterator[None]:
    """The simulated buyers take part, and --as finds the gateway."""
    folder = options.folder
    buyers = [
        SimulatedBuyer(persona, address.ws, folder.token(persona.id, _FOR_GOOD), folder.shop.shop.id, options.pace)
        for persona in CAST
    ]
    mine = folder.token(UNPLAYED, _TOKENS_LAST)
    await greet(address.ws, mine, conversation_id(folder.shop.shop.id, UNPLAYED), FIRST_WORDS)
    playing = asyncio.create_task(play(buyers), name="simulated-buyers")
    folder.announce(address)
    try:
        yield
    finally:
        folder.retract()
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)


def _mine(folder: DemoFolder) -> list[str]:
    """Whom the user can be."""
    return [*(agent.id for agent in folder.shop.agents), UNPLAYED, SUPERVISOR[0]]


def _who(folder: DemoFolder) -> dict[str, object]:
    """The shop, and whom the user can be, with a token for each: what the stage needs to show both screens."""
    return {
        "shop": folder.shop.shop.model_dump(mode="json"),
        "order_id": FIRST_ORDER,
        "people": [
            {"id": id, "role": role, "name": name, "token": folder.token(id, _TOKENS_LAST)}
            for id, (role, name) in folder.people.items()
            if id in _mine(folder)
        ],
    }


def _guide(folder: DemoFolder, address: Address, data: str, window: timedelta, *, new: bool) -> Guide:
    shop, people = folder.shop, folder.people
    return Guide(
        shop_id=shop.shop.id,
        shop_name=shop.shop.name,
        address=address,
        data=data,
        folder=folder.path,
        window=window,
        tokens={id: folder.token(id, _TOKENS_LAST) for id in _mine(folder)},
        names={id: name for id, (_, name) in people.items()},
        new=new,
    )
