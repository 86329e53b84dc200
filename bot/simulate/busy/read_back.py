"""The end of a busy shop: it comes to rest, then every log, document and list is read, and what every device kept."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from bot.simulate.busy.evidence import BusyEvidence, Deed, Document, Item, Limits, Shown, now_ms
from bot.simulate.busy.hours import Hours
from bot.simulate.busy.neighbour import Neighbour
from bot.simulate.busy.spans import gaps_between, union
from bot.simulate.busy.staff import Worker
from bot.simulate.busy.talk import BusyChat
from bot.simulate.device import Device
from bot.simulate.evidence import Evidence, Story
from bot.simulate.read_back import read_story
from bot.simulate.stage import OPENING, Stage

_LOOK_S = 0.1
_SETTLES_S = 5.0
"""Seconds that the last signs may take to reach everybody."""


class Ending:
    """Reads everything; everybody is here."""

    def __init__(
        self,
        hours: Hours,
        stage: Stage,
        chats: Mapping[str, BusyChat],
        staff: Mapping[str, Worker],
        neighbour: Neighbour,
    ) -> None:
        self._hours = hours
        self._stage = stage
        self._chats = list(chats.values())
        self._staff = list(staff.values())
        self._neighbour = neighbour

    async def read(
        self,
        deeds: Iterable[Deed],
        killed: Sequence[int],
        orders: Callable[[], Awaitable[dict[str, dict[str, Any]]]],
    ) -> BusyEvidence:
        """All the evidence. Raises CommandFailed."""
        quiet = await self._come_to_rest()
        stories = await self._stories()
        documents = await self._documents()
        lists, waiting, shown = await self._lists()
        shown += await self._kept_by_buyers(documents)
        counted = {one["id"]: one["conversations"] for one in await self._staff[0].devices[0].client.agents()}
        for worker in self._staff:
            worker.day_is_over()
        books = [book for worker in self._staff for book in worker.notebooks]
        books += [book for chat in self._chats for book in chat.notebooks]
        return BusyEvidence(
            cards=Evidence(
                cases=self._stage.cases,
                stories=stories,
                orders_before=self._stage.orders,
                orders_after=await orders(),
                complaints=self._stage.people.complaints(),
                away={worker.id: self._unreachable(worker) for worker in self._staff},
            ),
            limits=_limits(self._hours),
            ended_ms=now_ms(),
            said=[said for chat in self._chats for said in chat.said],
            deeds=[*deeds, *(deed for chat in self._chats for deed in chat.deeds)],
            notebooks=[*books, *self._neighbour.notebooks],
            shifts={worker.id: worker.shift for worker in self._staff},
            documents=documents,
            lists=lists,
            waiting=waiting,
            counted={worker.id: counted[worker.id] for worker in self._staff},
            shown=shown,
            killed=killed,
            errors=[*self._neighbour.errors, *(error for chat in self._chats for error in chat.errors)],
            last="quiet" if quiet else "restless",
        )

    @staticmethod
    def _unreachable(worker: Worker) -> list[tuple[int, int]]:
        """When none of the agent's devices was connected for sure."""
        return gaps_between(union(span for book in worker.notebooks for span in book.connected))

    async def _come_to_rest(self) -> bool:
        """Until nobody waits, for an agent or for a reply; whether that happened before patience ended."""
        ends = time.monotonic() + self._hours.patience.total_seconds()
        while time.monotonic() < ends:
            pages = await asyncio.gather(*[one.devices[0].client.list_conversations(limit=1) for one in self._staff])
            if not any(page["counts"]["unassigned"] or page["counts"]["to_reply"] for page in pages):
                return True
            await asyncio.sleep(_LOOK_S)
        return False

    async def _stories(self) -> list[Story]:
        places = asyncio.Semaphore(OPENING)
        showing = self._stage.people.showing()

        async def read(number: int, chat: BusyChat) -> Story:
            async with places:
                reader = self._staff[number % len(self._staff)].devices[0]
                item = (await reader.client.history(chat.id, limit=1))["conversation"]
                current = [one for worker in self._staff if worker.id == item["agent_id"] for one in worker.devices]
                return await read_story(chat, reader, current, showing.get(chat.id, []), self._stage.patience)

        return await asyncio.gather(*[read(number, chat) for number, chat in enumerate(self._chats)])

    async def _documents(self) -> list[Document]:
        agent = self._staff[0].devices[0].client

        async def read(chat: BusyChat) -> Document:
            pages = [await client.history(chat.id, limit=1) for client in (agent, chat.devices[0].client)]
            return Document(chat.id, {"agent": pages[0]["conversation"], "buyer": pages[1]["conversation"]})

        return await asyncio.gather(*[read(chat) for chat in self._chats])

    async def _lists(self) -> tuple[dict[str, list[Item]], list[Item], list[Shown]]:
        """Each agent's list, what waits, and what each device kept of them, once they agree or time is up."""
        ends = time.monotonic() + _SETTLES_S
        while True:
            lists: dict[str, list[Item]] = {}
            waiting: list[Item] = []
            shown: list[Shown] = []
            for worker in self._staff:
                page = await worker.devices[0].client.list_conversations(limit=500)
                lists[worker.id] = [item for item in page["conversations"] if item["agent_id"] is not None]
                waiting = [item for item in page["conversations"] if item["agent_id"] is None]
                for device in worker.devices:
                    shown += _kept(device, worker.id, lists[worker.id], waiting)
            if time.monotonic() > ends or all(one.kept == one.told for one in shown):
                return lists, waiting, shown
            await asyncio.sleep(_LOOK_S)

    async def _kept_by_buyers(self, documents: Sequence[Document]) -> list[Shown]:
        told = {document.conversation_id: document.sides["buyer"] for document in documents}

        def kept(device: Device, id: str) -> Item:
            item = device.client.conversations.get(id, {})
            return {name: item.get(name) for name in told[id]}

        async def read(device: Device, id: str) -> Shown:
            with contextlib.suppress(TimeoutError):
                await device.client.wait_for(lambda: kept(device, id) == told[id], _SETTLES_S)
            return Shown(device.name, kept(device, id), told[id])

        return await asyncio.gather(*[read(device, chat.id) for chat in self._chats for device in chat.devices])


def _kept(device: Device, agent_id: str, mine: Sequence[Item], waiting: Sequence[Item]) -> list[Shown]:
    """What a device keeps of the agent's list and of what waits, item for item."""
    told = {item["conversation_id"]: item for item in (*mine, *waiting)}
    client = device.client
    kept = {
        id: item for id, item in client.conversations.items() if item.get("open") and item.get("agent_id") == agent_id
    }
    kept.update(client.waiting)
    return [Shown(device.name, kept.get(id, {"conversation_id": id}), told.get(id)) for id in {**told, **kept}]


def _limits(hours: Hours) -> Limits:
    times = hours.times
    grace, lease, warning, overdue, window, before, late = (
        round(one.total_seconds() * 1000)
        for one in (
            times.grace,
            times.lease,
            times.reply_warning,
            times.reply_overdue,
            hours.window,
            times.remind_before,
            hours.late,
        )
    )
    return Limits(hours.limit, grace, lease, warning, overdue, window, before, late)
