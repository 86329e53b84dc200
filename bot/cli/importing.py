"""`import`: a shop file into the embedded shop."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import TimeRemainingColumn

from bot.cli.environment import redis_url
from bot.cli.failure import INTERRUPTED, Failure
from bot.cli.progress import progress_bar
from bot.cli.running import run
from bot.cli.serve import WAIT
from bot.orders.shop import Shop
from bot.redis.connector import Connector, connect
from bot.redis.server_check import reach
from bot.shopfile import ShopFile, load


def import_command(
    file: Annotated[Path, typer.Argument(metavar="SHOP.json", help="A shop in Assent's import format.")],
    wait: Annotated[float, typer.Option(min=0, help="Seconds that Redis may take to answer at start.")] = WAIT,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Load a shop file into the Redis of REDIS_URL.

    The file is checked whole before anything is written. The shop's people, products, stock and orders are then those
    of the file; conversations and cards stay. An import that was broken off is repaired by repeating it.

    For example:

      REDIS_URL=redis://127.0.0.1:6379/0 python -m bot import bot/demo/shop.json
    """
    shop = load(file)
    if not run(_import(shop, connect(redis_url()), wait)):
        raise Failure("Stopped before the end. Import again: that repairs it.", INTERRUPTED)
    counts = {
        "agents": len(shop.agents),
        "buyers": len(shop.buyers),
        "products": len(shop.products),
        "skus": sum(len(product.skus) for product in shop.products),
        "orders": len(shop.orders),
    }
    if as_json:
        typer.echo(json.dumps({"shop": shop.shop.id, "name": shop.shop.name, **counts}, ensure_ascii=False))
    else:
        said = ", ".join(f"{count:,} {what}" for what, count in counts.items())
        typer.echo(f"Imported {shop.shop.name} ({shop.shop.id}): {said}.")


async def _import(file: ShopFile, connector: Connector, wait: float) -> None:
    try:
        await reach(connector, wait)
        await import_with_progress(Shop(connector.scripts), file)
    finally:
        await connector.aclose()


async def import_with_progress(shop: Shop, file: ShopFile) -> None:
    """Import, with a progress bar on stderr where that is a terminal. Raises OrderSystemAway."""
    with progress_bar(TimeRemainingColumn()) as progress:
        bar = progress.add_task(f"Importing {file.shop.name}", total=None)
        await shop.import_shop(file, lambda done, total: progress.update(bar, completed=done, total=total))
