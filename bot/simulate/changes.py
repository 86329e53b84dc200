"""Changes that somebody wrote down, each proposed, and agreed to when a card was shown."""

import asyncio
from collections.abc import Sequence

from bot.client import CommandFailed
from bot.shopfile import ChangeRow
from bot.simulate.mix import Answer
from bot.simulate.stage import Stage


async def play_changes(stage: Stage, rows: Sequence[ChangeRow], in_flight: int) -> None:
    """Play every row. Those that share an order or a product follow each other as in the file; others run together."""
    products = {order.id: {line.product_id for line in order.lines} for order in stage.file.orders}
    places = asyncio.Semaphore(in_flight)
    last: dict[str, asyncio.Task[None]] = {}

    async def play_after(earlier: set[asyncio.Task[None]], row: ChangeRow) -> None:
        if earlier:
            await asyncio.wait(earlier)
        async with places:
            await _play(stage, row)
        stage.progress()

    async with asyncio.TaskGroup() as playing:
        for row in rows:
            shared = {row.order_id, *products.get(row.order_id, ())}
            earlier = {last[one] for one in shared if one in last}
            last.update(dict.fromkeys(shared, playing.create_task(play_after(earlier, row))))


async def _play(stage: Stage, row: ChangeRow) -> None:
    chat = stage.chats[row.buyer_id]
    try:
        _, quote = await chat.as_agent(lambda agent: agent.quote(chat.id, row.order_id))
    except CommandFailed:
        quote = None  # the proposal will say why
    case = stage.case(chat, row.order_id, {change.line_id: change.to_sku for change in row.changes}, quote)
    case.expect = row.expect
    case.expected = {change.line_id: code for change, code in zip(row.changes, row.line_verdicts, strict=False)}
    if await stage.negotiator.ask(chat, case, [change.model_dump() for change in row.changes]):
        await stage.negotiator.play(chat, case, Answer.AGREE, paid=stage.orders[row.order_id]["status"] == "paid")
