"""From Redis to this process's sessions: what was committed anywhere reaches everybody who may see it, once.

Law: a message is only a hint that the log has grown. What is next for a session is sent at once; any gap is read from
the log, which is the truth. A failover may have cut the log's end off, which people were shown already: whoever has
another entry than the log has is sent a fresh page, and so everybody comes to have the log as it is.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from redis.exceptions import RedisError

from bot.documents.store import LoggedEntry, LogPage, Overview, Store
from bot.entry import encode_parts
from bot.errors import CommandError
from bot.flows.deciding import Parts
from bot.flows.listing import Listing
from bot.flows.reading import audience_of, render_page
from bot.frames import encode, encode_entry
from bot.participant import STAFF, Participant, Role, desk_channel
from bot.redis.subscriber import Subscriber
from bot.sessions import CloseCode, Session

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
        self._resyncing: set[Session] = set()
        """Those that will read what there is, and have not begun to."""
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
        """A commit published an entry on a channel: `<conversation> <seq> <at_ms> <before_ms> <JSON>`, where before_ms
        is when the entry before it was. Seq 0 is a sign, `<conversation> 0 <at_ms> <JSON>`: a frame.
        """
        conversation, seq, at_ms, body = message.split(b" ", 3)
        if seq == b"0":
            for session in self._sessions.get(channel, ()):
                session.tell(body)
            return
        before, _, body = body.partition(b" ")
        entry, before_ms = LoggedEntry(int(seq), int(at_ms), body), int(before)
        conversation_id = conversation.decode()
        if channel.startswith("desk:"):
            self._tell_desk(channel, conversation_id)
            return
        for session in self._sessions.get(channel, ()):
            cursor = session.cursors.get(conversation_id)
            if not session.ready or conversation_id in session.targets or cursor is None or entry.seq > cursor + 1:
                self._behind(session, conversation_id, entry.seq)
            elif entry.seq == cursor + 1 and session.continues(conversation_id, before_ms):
                self._send(session, conversation_id, entry)
            elif entry.seq == cursor + 1 or session.lacks(conversation_id, entry.seq, entry.at_ms):
                self._behind(session, conversation_id, entry.seq)

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
        session.at_ms[conversation_id] = entry.at_ms

    def restored(self) -> None:
        """The subscriber was deaf for a while, or a primary was replaced: everybody catches up."""
        for session in self.sessions:
            if not session.ready:
                session.missed = True
            elif session not in self._resyncing:
                self._resyncing.add(session)
                self._start(self._resync(session))
        for channel in self._sessions:
            if channel.startswith("desk:"):
                self._start(self._resync_desk(channel))

    async def _resync(self, session: Session) -> None:
        """What it has now, and what it had before: a conversation may have been given away meanwhile."""
        who = session.who
        try:
            async with self._reads:
                self._resyncing.discard(session)
                mine = await self._listing.mine(who)
                before = session.cursors.keys() - {one.conversation.id for one in mine}
                mine += [one for one in await self._store.overviews(list(before)) if one is not None]
                if who.role is Role.BUYER:
                    items = [await self._listing.own_item(who, one, session.locale) for one in mine]
                else:
                    items = await self._listing.items(who.shop_id, mine, session.locale)
            for one, item in zip(mine, items, strict=True):
                id = one.conversation.id
                same = one.seq == session.cursors.get(id, 0) and session.continues(id, one.at_ms)
                if who.role is not Role.SUPERVISOR and not same:
                    self._behind(session, id, one.seq)
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
            at_ms = session.asked_at_ms
            await asyncio.gather(*[self._send_missing(session, id, cursor, at_ms.get(id, 0)) for id, cursor in batch])
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
            more = True
            while more and not session.over:
                # What was heard before this reading is in it, or was lost in a failover.
                session.targets[conversation_id] = 0
                cursor, at_ms = session.cursors.get(conversation_id), session.at_ms.get(conversation_id, 0)
                await self._send_missing(session, conversation_id, cursor, at_ms)
                more = session.targets[conversation_id] > session.cursors.get(conversation_id, 0)
        except (RedisError, CommandError) as error:
            session.close(CloseCode.BEHIND, f"resume with your cursors: {error}")
        finally:
            del session.targets[conversation_id]

    async def _send_missing(self, session: Session, conversation_id: str, cursor: int | None, at_ms: int) -> None:
        """What the log has after `cursor`, entry by entry; a fresh page where that is too much, too old, or unknown,
        and where the entry at the cursor is not the one of `at_ms` (0: not known).
        """
        if cursor is not None:
            while True:
                known = 1 if cursor and at_ms else 0
                async with self._reads:
                    page = await self._store.read_after(conversation_id, cursor - known, _PAGE + known)
                if not _continues(page, cursor, at_ms) or page.last_seq - cursor > self._keep:
                    break
                for entry in page.entries[known:]:
                    await session.room()
                    if session.over:
                        return
                    self._send(session, conversation_id, entry)
                    cursor, at_ms = entry.seq, entry.at_ms
                if cursor >= page.last_seq:
                    session.cursors[conversation_id] = cursor
                    session.at_ms[conversation_id] = page.last_at_ms
                    return
        async with self._reads:
            page = await self._store.read_before(conversation_id, None, _FRESH_PAGE)
        await session.room()
        if page.conversation is None:  # removed: what comes next begins anew, and so must whoever has the old one
            session.cursors.pop(conversation_id, None)
            session.at_ms.pop(conversation_id, None)
            return
        rendered = render_page(page, audience_of(session.who), session.locale)
        frame = {"type": "reset", "conversation_id": conversation_id, "now_ms": self._clock.now_ms(), **rendered}
        session.send_entry(conversation_id, page.last_seq, encode(frame))
        session.at_ms[conversation_id] = page.last_at_ms

    async def aclose(self) -> None:
        """Stop catching up."""
        for task in list(self._catching):
            task.cancel()
        await asyncio.gather(*self._catching, return_exceptions=True)


def _continues(page: LogPage, cursor: int, at_ms: int) -> bool:
    """Whether what was read goes on from the cursor: nothing is missing, and the entry there, read too, is the one."""
    if cursor and at_ms and [(entry.seq, entry.at_ms) for entry in page.entries[:1]] != [(cursor, at_ms)]:
        return False
    return page.first_seq <= cursor + 1 and cursor <= page.last_seq


def _channels(who: Participant) -> list[str]:
    return [who.channel, desk_channel(who.shop_id)] if who.role in STAFF else [who.channel]
