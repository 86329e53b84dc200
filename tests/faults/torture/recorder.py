"""A chat client that writes down all that its person did, was answered and was told.

Law: a frame is in the history before anything is made of it; every command has one `sent`, and one `answered` or
`gave_up`. A reply that nobody waits for (to a copy, or after its person gave up) is `told`, like all that is no reply.
"""

import asyncio
import contextlib
import random
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import orjson

from bot.client import ChatClient
from bot.transcript import Entry, Frame
from cards.proposal import FINAL
from tests.faults.torture.history import History
from tests.faults.torture.thrift import Thrift

_SEEN = 500
"""Cards of which a client keeps how they were last seen."""


class Manner(Protocol):
    """How a command is put on the wire by a client or a network without manners."""

    @property
    def name(self) -> str:
        """What the history calls it."""
        ...

    async def send(self, client: "RecordingClient", data: bytes) -> None:
        """Put a command on that client's wire."""
        ...


class RecordingClient(ChatClient):
    """`who` is as History has it. `on_card` is called with every card that its person is shown.

    Set `manner` to have the next command sent without manners. Other options are ChatClient's.
    """

    def __init__(
        self,
        who: str,
        history: History,
        urls: list[str],
        token: str | Callable[[], str],
        *,
        chance: random.Random,
        thrift: Thrift,
        on_card: Callable[[Frame], None] = lambda card: None,
        **options: Any,
    ) -> None:
        super().__init__(urls, token, on_entry=self._shown, **options)
        self.who = who
        self.manner: Manner | None = None
        self.seen: dict[str, Frame] = {}
        """The cards seen last, as they were seen last, by proposal id."""
        self._history = history
        self._chance = chance
        self._thrift = thrift
        self._on_card = on_card
        self._unanswered: set[str] = set()
        self._late: set[asyncio.Task[None]] = set()
        self._here = asyncio.Event()
        self._here.set()
        self._url = ""
        self._asked: dict[str, int] = {}
        """The cursors of this connection's hello."""
        self._heard = False
        """Whether this connection has brought anything yet."""

    async def command(self, type: str, *, command_id: str | None = None, **members: Any) -> Frame:
        """ChatClient's; ids follow from the seed."""
        id = command_id or str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        self._history.note("sent", self.who, id=id, command={"type": type, "id": id, **members})
        self._unanswered.add(id)
        try:
            return await super().command(type, command_id=id, **members)
        finally:
            if id in self._unanswered:
                self._unanswered.discard(id)
                self._history.note("gave_up", self.who, id=id)

    def settled(self, proposal_id: str) -> Frame | None:
        """The card, if it was seen settled."""
        card = self.seen.get(proposal_id)
        return card if card is not None and card["state"] in FINAL else None

    def open_cards(self) -> list[Frame]:
        """The cards that are not settled as far as its person knows."""
        return [card for card in self.seen.values() if card["state"] not in FINAL]

    def forget(self, conversation_id: str) -> None:
        """A conversation that is over for good, as a workbench closes its tab."""
        for kept in (self.logs, self.cursors, self.conversations, self.waiting, self._reads, self.typing):
            kept.pop(conversation_id, None)
        self._forget_cards(conversation_id)

    def _forget_cards(self, conversation_id: str) -> None:
        for proposal_id in [id for id, card in self.seen.items() if card["conversation_id"] == conversation_id]:
            del self.seen[proposal_id]

    def _look_again(self, conversation_id: str) -> None:
        """A page came, and may have taken back what a failover lost: those cards never were."""
        self._forget_cards(conversation_id)
        for entry in self.logs.get(conversation_id, ()):
            self._remember(entry)

    @contextlib.contextmanager
    def misbehaving(self, name: str, detail: str = "") -> Iterator[None]:
        """The history knows when it begins and ends."""
        self._history.note("fault", self.who, name=name, phase="begins", detail=detail)
        try:
            yield
        finally:
            self._history.note("fault", self.who, name=name, phase="ends", detail=detail)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Nowhere meanwhile; what is asked of its person they do when they are back."""
        self._here.clear()
        self.cut()
        try:
            yield
        finally:
            self._here.set()

    async def put(self, data: bytes) -> None:
        """Put a command on the wire as it should be, if there is one."""
        await super()._send(data)

    def put_later(self, data: bytes, seconds: float) -> None:
        """`put`, after so many seconds, if its person is still here."""

        async def late() -> None:
            await asyncio.sleep(seconds)
            await self.put(data)

        task = asyncio.create_task(late(), name="late copy")
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def nothing_late(self) -> None:
        """Wait until what was to be put later has been put."""
        await asyncio.gather(*self._late)

    async def break_off(self, unfinished: bytes) -> None:
        """These bytes go out, and the connection is gone; nothing else comes between them."""
        connection = self._ws._response.connection if self._ws is not None else None
        if connection is None or connection.transport is None:
            return
        self._connected.clear()
        connection.transport.write(unfinished)
        await asyncio.sleep(0)  # some loops write at the end of their turn
        if connection.transport is not None:
            connection.transport.abort()

    async def aclose(self) -> None:
        """Leave for good."""
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)
        await super().aclose()

    async def _run(self) -> None:
        """What nobody foresaw fails every command from then on, rather than end in silence."""
        try:
            await super()._run()
        except Exception as error:
            self._fail(error)

    async def _session(self, url: str) -> None:
        await self._here.wait()
        try:
            self._url, self._heard = url, False
            await super()._session(url)
        finally:
            if self._heard:
                self._history.note("lost", self.who)

    def _hello(self) -> Frame:
        self._asked = dict(self.cursors)
        return super()._hello()

    async def _receive(self, frame: Frame) -> None:
        frame = self._thrift.kept(frame)
        if not self._heard:
            self._heard = True
            self._history.note("connected", self.who, url=self._url, locale=self._locale, cursors=self._asked)
        reply = frame["type"] in ("ok", "error") and frame["re"] in self._unanswered
        if not reply:
            self._history.note("told", self.who, frame=frame)
        elif frame["type"] == "ok" or frame.get("retry_after_ms") is None:
            self._unanswered.discard(frame["re"])
            self._history.note("answered", self.who, id=frame["re"], frame=frame)
        await super()._receive(frame)
        if frame["type"] == "reset":
            self._look_again(frame["conversation_id"])

    async def _send(self, data: bytes) -> None:
        manner, self.manner = self.manner, None
        if manner is None or not self._connected.is_set():
            await self.put(data)
        else:
            with self.misbehaving(manner.name, orjson.loads(data)["id"]):
                await manner.send(self, data)

    def _shown(self, conversation_id: str, entry: Entry) -> None:
        self._remember(entry)
        if "card" in entry:
            self._on_card(entry["card"])

    def _remember(self, entry: Entry) -> None:
        if (card := entry.get("card")) is None:
            return
        self.seen.pop(card["proposal_id"], None)
        self.seen[card["proposal_id"]] = card
        if len(self.seen) > _SEEN:
            del self.seen[next(iter(self.seen))]
