"""`chat`: take part in a conversation from a terminal, as an agent or as a buyer."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console

from bot.cli.chat_view import ChatView
from bot.cli.chatting import Chat
from bot.cli.failure import MISUSED, Failure
from bot.cli.keyboard import lines
from bot.cli.running import run
from bot.client import ChatClient, Refused
from bot.demo.folder import DemoFolder
from cards.texts import Locale

_PATIENCE = 10.0
"""Seconds that a command may take, lost connections included."""


def chat_command(
    url: Annotated[str | None, typer.Option(help="The gateway, e.g. ws://127.0.0.1:8080/ws.")] = None,
    token: Annotated[
        str | None, typer.Option(envvar="ASSENT_TOKEN", show_envvar=True, help="Who you are: see `token --help`.")
    ] = None,
    demo_person: Annotated[
        str | None, typer.Option("--as", metavar="ID", help="Be somebody of the demo that runs on --data.")
    ] = None,
    data: Annotated[Path, typer.Option(help="The demo's folder, for --as.")] = Path("var"),
    locale: Annotated[Locale, typer.Option(help="The language of cards, notices and errors.")] = Locale.ZH_CN,
) -> None:
    """Chat from the terminal, as an agent or as a buyer.

    What you type is said; a line that begins with / is a command: /help lists them.

    For example:

      python -m bot chat --as xiaoyu
      python -m bot chat --as lin-wan --locale en
      python -m bot chat --url wss://chat.shop.example/ws --token "$(python -m bot token …)"
    """
    if demo_person is not None:
        folder = DemoFolder(data)
        url = url or folder.address()
        token = folder.token(demo_person, timedelta(days=1))
    if not url or not token:
        raise Failure("Say where and who: --url and --token, or --as with somebody of a running demo.", MISUSED)
    run(_chat(_websocket(url), token, locale))


def _websocket(url: str) -> str:
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.netloc:
        raise Failure(f"--url {url!r} is no websocket's address: write it like ws://127.0.0.1:8080/ws", MISUSED)
    return parts._replace(scheme=scheme, path=parts.path.rstrip("/") or "/ws").geturl()


async def _chat(url: str, token: str, locale: Locale) -> None:
    view = ChatView(Console(highlight=False), locale)
    chat = Chat(view)
    client = ChatClient(
        url, token, locale=locale, on_entry=chat.entry, on_event=chat.event, patience=_PATIENCE, backoff=(0.2, 2)
    )
    chat.client = client
    try:
        await client.start()
    except TimeoutError as error:
        raise Failure(f"No gateway answers at {url}. Is it running?") from error
    except Refused as refused:
        raise Failure(f"The gateway refused: {refused}") from refused
    try:
        await chat.begin()
        await chat.follow(lines())
    except Refused as refused:
        raise Failure(f"The gateway refused: {refused}") from refused
    finally:
        await client.aclose()
