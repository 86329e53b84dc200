"""From Redis to this process's sessions: what was committed anywhere reaches everybody who may see it, once.

Law: a message is only a hint that the log has grown. What is next for a session is sent at once; any gap is read from
the log, which is the truth.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from redis.exceptions import RedisError

from bot.entry import encode_parts
from bot.errors import CommandError
from bot.flows.deciding import Parts
from bot.flows.listing import Listing
from bot.flows.reading import audience_of, render_page
from bot.frames import encode, encode_entry
from bot.participant import STAFF, Participant, Role, desk_channel
from bot.sessions import CloseCode, Session
from bot.store import LoggedEntry, Overview, Store
from bot.subscriber import Subscriber

log = logging.getLogger(__name__)

_PAGE = 200
_FRESH_PAGE = 50
_RESUMED_AT_ONCE = 16
"""Conversations of one session that are read at once when it comes back."""
_READS = 64
"""Sessions that read logs at once: thousands that come back together must not crowd out the commands."""


class Fanout:
    """The sessions of this process by channel. `attach` the subscriber before the first session joins."""

    def __init__(self, parts: Parts, listing: Listing) -> None:
        self._store: Store = parts.store
        self._clock = parts.clock
        self._keep = parts.settings.resume_entries
        self._listing = listing
        self._moved: defaultdict[str, set[str]] = defaultdict(set)
        """Conversations of which a desk was told and its sessions here are not yet, by the desk's channel."""
        self._showing: set[str] = set()
        self._sessions: defaultdict[str, set[Session]] = defaultdict(set)
        self._catching: set[asyncio.Task[None]] = set()
        self._reads = asyncio.Semaphore(_READS)
        self._subscriber: Subscriber | None = None

    def attach(self, subscriber: Subscriber) -> None:
        """Hear through this subscriber, which calls `heard` and `restored`."""
        self._subscriber = subscriber

    @property
    def sessions(self) -> list[Session]:
        """Everybody here."""
        return list({session for sessions in self._sessions.values() for session in sessions})

    async def join(self, session: Session) -> None:
        """From now on the session hears its channels; it must then be caught up from the log."""
        assert self._subscriber is not None
        for channel in _channels(session.who):
            self._sessions[channel].add(session)
            await self._subscriber.subscribe(channel)

    def leave(self, session: Session) -> None:
        """The session is gone."""
        assert self._subscriber is not None
        for channel in _channels(session.who):
            here = self._sessions.get(channel)
            if here is None:
                continue
            here.discard(session)
            if not here:
                del self._sessions[channel]
                self._subscriber.unsubscribe(channel)

    def heard(self, channel: str, message: bytes) -> None:
        """A commit published an entry on a channel: `<conversation> <seq> <at_ms> <JSON>`. Seq 0 is a sign: a frame."""
        conversation, seq, at_ms, body = message.split(b" ", 3)
        entry = LoggedEntry(int(seq), int(at_ms), body)
        if entry.seq == 0:
            for session in self._sessions.get(channel, ()):
                session.tell(body)
            return
        conversation_id = conversation.decode()
        if channel.startswith("desk:"):
            self._tell_desk(channel, conversation_id)
            return
        for session in self._sessions.get(channel, ()):
            cursor = session.cursors.get(conversation_id)
            if not session.ready or conversation_id in session.targets or cursor is None or entry.seq > cursor + 1:
                self._behind(session, conversation_id, entry.seq)
            elif entry.seq == cursor + 1:
                self._send(session, conversation_id, entry)

    def _tell_desk(self, channel: str, conversation_id: str) -> None:
        """What happened to a conversation that nobody has, or that changed hands, everybody at the desk is shown."""
        self._moved[channel].add(conversation_id)
        if channel not in self._showing:  # one at a time, or an older reading might be shown last
            self._showing.add(channel)
            self._start(self._show_moved(channel))

    async def _show_moved(self, channel: str) -> None:
        try:
            while moved := self._moved.pop(channel, None):
                found = await self._store.overviews(list(moved))
                await self._show(channel, [one for one in found if one is not None])
        except RedisError as error:
            self._close_desk(channel, error)
        finally:
            self._showing.discard(channel)

    async def _show(self, channel: str, overviews: Sequence[Overview]) -> None:
        """Read once, and made once for each language."""
        sessions = list(self._sessions.get(channel, ()))
        for locale in {session.locale for session in sessions}:
            items = await self._listing.items(channel.removeprefix("desk:"), overviews, locale)
            for item in items:
                frame = encode({"type": "conversation", "now_ms": self._clock.now_ms(), **item})
                for session in sessions:
                    if session.locale is locale:
                        session.tell(frame)

    def _close_desk(self, channel: str, error: RedisError) -> None:
        for session in self._sessions.get(channel, ()):
            session.close(CloseCode.BEHIND, f"resume with your cursors: {error}")

    def _send(self, session: Session, conversation_id: str, entry: LoggedEntry) -> None:
        parts = encode_parts(entry.body, audience_of(session.who), session.locale)
        frame = encode_entry(self._clock.now_ms(), conversation_id, entry.seq, entry.at_ms, parts)
        session.send_entry(conversation_id, entry.seq, frame)

    def restored(self) -> None:
        """The subscriber was deaf for a while: everybody catches up."""
        for session in self.sessions:
            if session.ready:
                self._start(self._resync(session))
            else:
                session.missed = True
        for channel in self._sessions:
            if channel.startswith("desk:"):
                self._start(self._resync_desk(channel))

    async def _resync(self, session: Session) -> None:
        """What it has now, and what it had before: a conversation may have been given away meanwhile."""
        who = session.who
        try:
            async with self._reads:
                mine = await self._listing.mine(who)
                before = session.cursors.keys() - {one.conversation.id for one in mine}
                mine += [one for one in await self._store.overviews(list(before)) if one is not None]
                if who.role is Role.BUYER:
                    items = [await self._listing.own_item(who, one, session.locale) for one in mine]
                else:
                    items = await self._listing.items(who.shop_id, mine, session.locale)
            for one, item in zip(mine, items, strict=True):
                if who.role is not Role.SUPERVISOR and one.seq > session.cursors.get(one.conversation.id, 0):
                    self._behind(session, one.conversation.id, one.seq)
                session.tell(encode({"type": "conversation", "now_ms": self._clock.now_ms(), **item}))
        except RedisError as error:
            session.close(CloseCode.BEHIND, f"resume with your cursors: {error}")

    async def _resync_desk(self, channel: str) -> None:
        try:
            await self._show(channel, await self._listing.waiting_of(channel.removeprefix("desk:")))
        except RedisError as error:
            self._close_desk(channel, error)

    async def resume(self, session: Session, cursors: Mapping[str, int]) -> None:
        """The welcome was sent: send what is missing since these cursors, then let live entries through."""
        missing = list(cursors.items())
        for start in range(0, len(missing), _RESUMED_AT_ONCE):
            batch = missing[start : start + _RESUMED_AT_ONCE]
            await asyncio.gather(*[self._send_missing(session, id, cursor) for id, cursor in batch])
        self._release(session)

    def _release(self, session: Session) -> None:
        """What came in the meantime is caught up, and from now on entries go out live."""
        session.ready = True
        for frame in session.news:
            session.send(frame)
        session.news.clear()
        if session.missed:
            self._start(self._resync(session))
        behind, session.targets = session.targets, {}
        for conversation_id, seq in behind.items():
            if seq > session.cursors.get(conversation_id, 0):
                self._behind(session, conversation_id, seq)

    def _behind(self, session: Session, conversation_id: str, seq: int) -> None:
        catching = conversation_id in session.targets
        session.targets[conversation_id] = max(seq, session.targets.get(conversation_id, 0))
        if session.ready and not catching:
            self._start(self._catch_up(session, conversation_id))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="catch-up")
        self._catching.add(task)
        task.add_done_callback(self._catching.discard)

    async def _catch_up(self, session: Session, conversation_id: str) -> None:
        try:
            while (cursor := session.cursors.get(conversation_id)) is None or cursor < session.targets[conversation_id]:
                if session.over:
                    return
                await self._send_missing(session, conversation_id, cursor)
                if session.cursors.get(conversation_id) == cursor:
                    return  # the log is shorter than what was published: a failover lost its end
        except (RedisError, CommandError) as error:
            session.close(CloseCode.BEHIND, f"resume with your cursors: {error}")
        finally:
            del session.targets[conversation_id]

    async def _send_missing(self, session: Session, conversation_id: str, cursor: int | None) -> None:
        """What the log has after `cursor`, entry by entry; a fresh page where that is too much, too old, or unknown."""
        if cursor is not None:
            while True:
                async with self._reads:
                    page = await self._store.read_after(conversation_id, cursor, _PAGE)
                readable = page.first_seq <= cursor + 1 and cursor <= page.last_seq
                if not readable or page.last_seq - cursor > self._keep:
                    break
                for entry in page.entries:
                    await session.room()
                    if session.over:
                        return
                    self._send(session, conversation_id, entry)
                    cursor = entry.seq
                if cursor >= page.last_seq:
                    session.cursors[conversation_id] = cursor
                    return
        async with self._reads:
            page = await self._store.read_before(conversation_id, None, _FRESH_PAGE)
        await session.room()
        if page.conversation is None:
            return
        rendered = render_page(page, audience_of(session.who), session.locale)
        frame = {"type": "reset", "conversation_id": conversation_id, "now_ms": self._clock.now_ms(), **rendered}
        session.send_entry(conversation_id, page.last_seq, encode(frame))

    async def aclose(self) -> None:
        """Stop catching up."""
        for task in list(self._catching):
            task.cancel()
        await asyncio.gather(*self._catching, return_exceptions=True)


def _channels(who: Participant) -> list[str]:
    return [who.channel, desk_channel(who.shop_id)] if who.role in STAFF else [who.channel]
