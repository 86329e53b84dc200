"""The ways in which agents ask for a change: most of them properly, some at once, some against the rules."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from bot.transcript import Frame
from tests.faults.torture.chat import Chat
from tests.faults.torture.life import live
from tests.faults.torture.sheets import Sheet

Ask = Callable[[Chat, Sheet], Awaitable[str | None]]
"""Asks for a change of that order; the id of the card that came to be, if one did."""


async def plainly(chat: Chat, sheet: Sheet) -> str | None:
    wishes, waive = sheet.wishes(chat.chance)
    return _card(await _propose(chat, sheet, wishes, waive))


async def with_care(chat: Chat, sheet: Sheet) -> str | None:
    """With a look at the order and at the card before."""
    await chat.look_again(sheet)
    if sheet.gone:
        return None
    wishes, waive = sheet.wishes(chat.chance)
    await chat.as_agent(
        lambda agent: agent.command(
            "preview", conversation_id=chat.id, order_id=sheet.id, changes=wishes, waive_difference=waive
        )
    )
    return _card(await _propose(chat, sheet, wishes, waive))


async def twice_at_once(chat: Chat, sheet: Sheet) -> str | None:
    wishes, waive = sheet.wishes(chat.chance)
    others, waive_others = sheet.wishes(chat.chance)
    replies = await asyncio.gather(_propose(chat, sheet, wishes, waive), _propose(chat, sheet, others, waive_others))
    return next((id for reply in replies if (id := _card(reply))), None)


async def by_two_agents(chat: Chat, sheet: Sheet) -> str | None:
    """While the conversation goes from the one to the other."""
    wishes, waive = sheet.wishes(chat.chance)
    before, after = chat.agent_id, chat.another_agent()

    async def by(agent_id: str) -> Frame:
        agent = chat.people.agents[agent_id][0]
        return await live(agent.propose(chat.id, sheet.id, [*wishes], waive_difference=waive))

    replies = await asyncio.gather(by(before), chat.transfer(after), by(after), by(before))
    return next((id for reply in replies if (id := _card(reply))), None)


async def unfairly(chat: Chat, sheet: Sheet) -> str | None:
    return _card(await _propose(chat, sheet, [sheet.unfair_wish(chat.chance)], False))


async def by_the_buyer(chat: Chat, sheet: Sheet) -> str | None:
    """Who is told that only agents do."""
    wishes, waive = sheet.wishes(chat.chance)
    return _card(await live(chat.device().propose(chat.id, sheet.id, [*wishes], waive_difference=waive)))


ASKS: Mapping[Ask, int] = {plainly: 24, with_care: 3, twice_at_once: 3, by_two_agents: 2, unfairly: 1, by_the_buyer: 1}


async def _propose(chat: Chat, sheet: Sheet, wishes: list[dict[str, str]], waive: bool) -> Frame:
    reply = await chat.as_agent(lambda agent: agent.propose(chat.id, sheet.id, [*wishes], waive_difference=waive))
    if reply["type"] == "error" and reply["code"] not in ("proposal_pending", "agents_only"):
        await chat.look_again(sheet)
    return reply


def _card(reply: Frame) -> str | None:
    return reply["proposal_id"] if reply["type"] == "ok" and "proposal_id" in reply else None
