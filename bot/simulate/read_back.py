"""The end of a simulation: every log read back in full, every order as it is now, and what every device saw."""

import asyncio
import contextlib
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from bot.simulate.chat import Chat
from bot.simulate.device import Device
from bot.simulate.evidence import Entry, Evidence, Seen, Story
from bot.simulate.stage import OPENING, Stage

PAGE = 200


async def read_back(stage: Stage) -> Evidence:
    """All the evidence. A device may need `stage.patience` for the last entries. Raises CommandFailed."""
    places = asyncio.Semaphore(OPENING)
    orders_after: dict[str, dict[str, Any]] = {}
    showing = stage.people.showing()

    async def read(chat: Chat) -> Story:
        async with places:
            agent = await chat.people.agent(chat.agent_id)
            story = await read_story(chat, agent, [agent], showing.get(chat.id, []), stage.patience)
            orders_after.update(await chat.orders())
        return story

    stories = await asyncio.gather(*[read(chat) for chat in stage.chats.values()])
    return Evidence(
        cases=stage.cases,
        stories=stories,
        orders_before=stage.orders,
        orders_after=orders_after,
        complaints=stage.people.complaints(),
    )


async def read_story(
    chat: Chat, agent: Device, current: Iterable[Device], devices: Iterable[Device], patience: timedelta
) -> Story:
    """The log, read by any agent, once the buyer's devices and those of the `current` agent have all of it.

    `devices` are all that showed anything of it.
    """
    of_agent, last_seq = await _history(agent, chat)
    of_buyer, _ = await _history(chat.devices[0], chat)
    watchers = {*chat.devices, *current}
    await asyncio.gather(*[_caught_up(watcher, chat.id, last_seq, patience) for watcher in watchers])
    return Story(
        conversation_id=chat.id,
        since=chat.since,
        agent_before=chat.agent_before,
        last_seq=last_seq,
        read_back={"agent": of_agent, "buyer": of_buyer},
        seen=[
            Seen(device.name, device.audience, device.person_id, _entries(device.entries(chat.id)))
            for device in watchers | set(devices)
        ],
    )


async def _caught_up(device: Device, conversation_id: str, seq: int, patience: timedelta) -> None:
    cursors = device.client.cursors
    with contextlib.suppress(TimeoutError):
        await device.client.wait_for(lambda: cursors.get(conversation_id, 0) >= seq, patience.total_seconds())


async def _history(reader: Device, chat: Chat) -> tuple[list[Entry], int]:
    """The log after `since`, page by page from its end, and its last seq."""
    entries: list[Any] = []
    before = last_seq = None
    while before is None or before > chat.since + 1:
        page = await reader.client.history(chat.id, before=before, limit=PAGE)
        last_seq = last_seq or page["last_seq"]
        if not page["entries"]:
            break
        entries = page["entries"] + entries
        before = entries[0]["seq"]
    return [entry for entry in _entries(entries) if entry["seq"] > chat.since], last_seq or 0


def _entries(entries: Iterable[Entry]) -> list[Entry]:
    """Without what belongs to their being sent, and not to them."""
    return [
        {name: value for name, value in entry.items() if name not in ("type", "conversation_id", "now_ms")}
        for entry in entries
    ]
