"""Documents and the log of conversations in Redis; a decision is written whole by one script, or not at all.

Law: every commit names the versions its decision was made on, so of two that race one gets `Stale` and decides again.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.conversation import Conversation, read_conversation
from bot.entry import UNREAD_FLAG, Entry
from bot.errors import CommandError
from bot.marks import Mark, Marks, card_marks, read_marks
from bot.redis.subscriber import PUBLISH
from cards.card import Audience
from cards.model import from_ms, to_ms
from cards.proposal import FINAL, Proposal
from scheduler.script import Script, Scripts

_LOAD = Script.beside(__file__, "load")
_COMMIT = Script.beside(__file__, "commit", durable=True)
REWRITE = Script.beside(__file__, "rewrite", durable=True)
_READ_LOG = Script.beside(__file__, "read_log")
_OVERVIEW = Script.beside(__file__, "overview")
_READ_MARK = Script.beside(__file__, "read_mark", durable=True)
_FIELDS = Script.beside(__file__, "fields")
_READ_SINCE = Script.beside(__file__, "read_since")
_ADD_LATE = Script.beside(__file__, "add_late")
_READ_LATE = Script.beside(__file__, "read_late")


_BATCH = 200


class Stale(Exception):
    """The documents or the hour are no longer those that were decided on: load and decide again."""


@dataclass(frozen=True, slots=True)
class CommandId:
    """A client's command: its id, and a digest of what it asked, so that an id cannot be used for two things."""

    id: str
    digest: str

    @classmethod
    def of(cls, command_id: str, payload: bytes) -> "CommandId":
        """The id with the digest of its payload (everything but the id)."""
        return cls(command_id, hashlib.blake2s(payload, digest_size=8).hexdigest())


@dataclass(frozen=True, slots=True)
class Reply:
    """What a committed command answered: JSON members as text, and the log's last seq after it."""

    body: str
    seq: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """One reading of a conversation: the documents asked for, their versions, and the server's time."""

    now: datetime
    conversation: Conversation | None
    conversation_version: int
    seq: int
    marks: Marks
    """Those that decisions need: since when the buyer waits for a reply, and what was said about it."""
    open_cards: int
    reply: Reply | None
    proposals: tuple[Proposal | None, ...]


@dataclass(frozen=True, slots=True)
class Commit:
    """One decision. `changed` replaces `proposal` (None: a new one); a hold and marks follow from their states.

    With `changed` None, `proposal` is one that the decision was made on, and that it leaves as it is.
    """

    conversation_id: str
    conversation_version: int
    conversation: Conversation | None = None
    proposal: Proposal | None = None
    changed: Proposal | None = None
    entries: Sequence[Entry] = ()
    marks: Sequence[Mark] = ()
    channels: Sequence[str] = ()
    command: CommandId | None = None
    reply: str = "{}"
    not_before: datetime | None = None
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class Committed:
    """A decision that is durable: the reply it is known by (an earlier one's, if the command was a repeat)."""

    reply: Reply
    now: datetime | None = None
    """Of a new decision the instant it was written, on the server's clock."""
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class LogPage:
    """A stretch of a log in rising order; `first_seq` is the oldest entry kept, `last_seq` the newest, of `last_at_ms`
    (0: not known)."""

    now: datetime
    conversation: Conversation | None
    marks: Marks
    first_seq: int
    last_seq: int
    last_at_ms: int
    entries: tuple["LoggedEntry", ...] = field(default=())


@dataclass(frozen=True, slots=True)
class LoggedEntry:
    """An entry as it stands in the log: its JSON is parsed by whoever renders it."""

    seq: int
    at_ms: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Overview:
    """How a conversation stands: its document (of that version), marks, the log's last seq, and its last line.

    `at_ms` is that of the log's last entry, 0 where it is not known.
    """

    conversation: Conversation
    version: int
    seq: int
    marks: Marks
    line: LoggedEntry | None
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class ReadMark:
    """How far one side has read, how many entries are unread after that, and the log's last seq then."""

    seq: int
    unread: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class CardMarks:
    """Of an open card: the quarter it was last reminded in, and whether its nearing end was told."""

    reminded: int | None
    near: bool


class Store:
    """Conversations, proposals and logs. `keep_replies` and `keep_entries` bound what a conversation keeps."""

    def __init__(self, scripts: Scripts, *, keep_replies: int = 200, keep_entries: int = 10_000) -> None:
        self._scripts = scripts
        self._keep_replies = keep_replies
        self._keep_entries = keep_entries

    async def load(
        self,
        conversation_id: str,
        command: CommandId | None = None,
        *,
        orders: Sequence[str] = (),
        proposals: Sequence[str] = (),
    ) -> Loaded:
        """The conversation, the open proposals of `orders`, then those of the ids in `proposals`.

        Raises CommandError `id_reused` when the command's id was used for something else, and Stale when its reply
        was lost in a failover meanwhile.
        """
        chat = chat_key(conversation_id)
        keys = [f"{chat}:hold:{order}" for order in orders] + [f"{chat}:proposal:{id}" for id in proposals]
        reading = await self._scripts.run(
            _LOAD,
            [chat, f"{chat}:replies", *keys],
            [command.id if command else "", len(orders), f"{chat}:proposal:"],
        )
        now_ms, (version, body, seq, asked, warned, overdue, cards), known, *documents = reading
        reply = _known_reply(command, known) if command and known else None
        if command and reply and await self._scripts.run(REWRITE, [f"{chat}:replies"], [command.id]) != known:
            raise Stale
        return Loaded(
            now=from_ms(now_ms),
            conversation=read_conversation(body) if body else None,
            conversation_version=int(version or 0),
            seq=int(seq or 0),
            marks=Marks(from_ms(int(asked)) if asked else None, warned is not None, overdue is not None),
            open_cards=int(cards or 0),
            reply=reply,
            proposals=tuple(Proposal.model_validate_json(body) if body else None for _, _, body in documents),
        )

    async def confirm(self, conversation_id: str, version: int) -> None:
        """Nothing is to be decided: the conversation, of that version, is as it should be. Raises Stale."""
        if int(await self._scripts.run(REWRITE, [chat_key(conversation_id)], ["v"]) or 0) != version:
            raise Stale

    async def overviews(self, conversation_ids: Sequence[str]) -> list[Overview | None]:
        """How these conversations stand, in their order; a few hundred at a time, so that nobody waits for all."""
        found: list[Overview | None] = []
        for start in range(0, len(conversation_ids), _BATCH):
            found += await asyncio.gather(*[self._overview(id) for id in conversation_ids[start : start + _BATCH]])
        return found

    async def _overview(self, conversation_id: str) -> Overview | None:
        chat = chat_key(conversation_id)
        flat, line = await self._scripts.run(_OVERVIEW, [chat, f"{chat}:log"], [])
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        if not (body := fields.get(b"b")):
            return None
        return Overview(
            conversation=read_conversation(body),
            version=int(fields[b"v"]),
            seq=int(fields.get(b"seq", 0)),
            at_ms=int(fields.get(b"at", 0)),
            marks=read_marks(fields),
            line=_logged(*line) if line else None,
        )

    async def card_marks(self, conversation_id: str, proposal_id: str) -> CardMarks:
        """What was said about an open card beside the card itself."""
        fields = [f"{name}:{proposal_id}" for name in ("reminded", "near")]
        reminded, near = await self._scripts.run(_FIELDS, [chat_key(conversation_id)], fields)
        return CardMarks(None if reminded is None else int(reminded), near is not None)

    async def tell(self, channel: str, conversation_id: str, now_ms: int, sign: bytes) -> None:
        """Tell whoever listens now: a frame that is in no log."""
        await self._scripts.run(PUBLISH, [], [channel, f"{conversation_id} 0 {now_ms} {sign.decode()}"])

    async def read_since(self, conversation_id: str, since: datetime, limit: int) -> list[LoggedEntry]:
        """The first entries, `limit` at most, that are not older than `since`."""
        key = f"{chat_key(conversation_id)}:log"
        return [_logged(*entry) for entry in await self._scripts.run(_READ_SINCE, [key], [to_ms(since), limit])]

    async def mark_read(self, conversation: Conversation, version: int, side: Audience, seq: int) -> ReadMark:
        """That side has read up to `seq`; everybody in the conversation is told. A mark never moves back.

        Raises Stale when the conversation is no longer of that version: somebody else may have to be told.
        """
        chat = chat_key(conversation.id)
        mark = await self._scripts.run(
            _READ_MARK,
            [chat, f"{chat}:log"],
            [side, seq, UNREAD_FLAG[side], version, conversation.id, *conversation.channels],
        )
        if mark is None:
            raise Stale
        return ReadMark(*mark)

    async def commit(self, commit: Commit) -> Committed:
        """Write the decision. Raises Stale, CommandError `id_reused`, or RedisError with its fate unknown."""
        keys, args = self._arguments(commit)
        outcome, *rest = await self._scripts.run(_COMMIT, keys, args)
        if outcome == b"stale":
            raise Stale
        if outcome == b"known":
            digest, seq, body = rest
            assert commit.command is not None
            return Committed(_same(commit.command, digest.decode(), Reply(body.decode(), seq)), repeated=True)
        now_ms, seq = rest
        return Committed(Reply(commit.reply, seq), from_ms(now_ms))

    def _arguments(self, commit: Commit) -> tuple[list[str], list[str | bytes | int]]:
        chat = chat_key(commit.conversation_id)
        keys = [chat, f"{chat}:log", f"{chat}:replies", f"{chat}:settled"]
        seen, body = commit.conversation_version, commit.conversation
        documents: list[str | bytes | int] = [1, seen, seen + 1 if body else 0, body.model_dump_json() if body else ""]
        holds: list[str | bytes | int] = []
        marks = list(commit.marks)
        if (changed := commit.changed) is None:
            if before := commit.proposal:
                keys.append(f"{chat}:proposal:{before.id}")
                documents += [len(keys), before.version, 0, ""]
        else:
            marks += card_marks(commit.proposal, changed)
            version = commit.proposal.version if commit.proposal else 0
            keys.append(f"{chat}:proposal:{changed.id}")
            documents += [len(keys), version, changed.version, changed.model_dump_json()]
            keys.append(f"{chat}:hold:{changed.order_id}")
            holds = [
                len(keys),
                changed.id if commit.proposal else "",
                "" if changed.state in FINAL else changed.id,
            ]
        command = commit.command
        return keys, [
            to_ms(commit.not_before) if commit.not_before else "",
            to_ms(commit.not_after) if commit.not_after else "",
            *((command.id, command.digest, commit.reply) if command else ("", "", "")),
            self._keep_replies,
            self._keep_entries,
            changed.id if changed and changed.state in FINAL else "",
            len(documents) // 4,
            *documents,
            len(holds) // 3,
            *holds,
            len(marks),
            *[part for mark in marks for part in mark],
            len(commit.entries),
            *[part for entry in commit.entries for part in (entry.flags, entry.to_json())],
            len(commit.channels),
            *commit.channels,
            commit.conversation_id,
        ]

    async def read_after(self, conversation_id: str, seq: int, limit: int) -> LogPage:
        """The first `limit` entries after `seq`."""
        return await self._read(conversation_id, "after", seq, limit)

    async def read_before(self, conversation_id: str, seq: int | None, limit: int) -> LogPage:
        """The last `limit` entries before `seq` (None: the newest)."""
        return await self._read(conversation_id, "before", seq if seq is not None else 2**53, limit)

    async def _read(self, conversation_id: str, direction: str, seq: int, limit: int) -> LogPage:
        chat = chat_key(conversation_id)
        reading = await self._scripts.run(_READ_LOG, [chat, f"{chat}:log"], [direction, seq, limit])
        now_ms, flat, first, entries = reading
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        body = fields.get(b"b")
        return LogPage(
            now=from_ms(now_ms),
            conversation=read_conversation(body) if body else None,
            marks=read_marks(fields),
            first_seq=first,
            last_seq=int(fields.get(b"seq", 0)),
            last_at_ms=int(fields.get(b"at", 0)),
            entries=tuple(_logged(*entry) for entry in entries),
        )

    async def add_late(self, proposal: Proposal, intent: Mapping[str, str]) -> None:
        """Keep in the record that somebody wanted something of a proposal that was settled already (R11)."""
        keys = [_late(proposal), f"{chat_key(proposal.conversation_id)}:proposal:{proposal.id}"]
        await self._scripts.run(_ADD_LATE, keys, [part for pair in intent.items() for part in pair])

    async def late(self, proposal: Proposal) -> Sequence[Mapping[str, str]]:
        """The last late intents, oldest first, each with the server's `at_ms`."""
        rows = await self._scripts.run(_READ_LATE, [_late(proposal)], [])
        return [{k.decode(): v.decode() for k, v in zip(row[::2], row[1::2], strict=True)} for _, row in rows]


def _logged(entry_id: bytes, fields: Sequence[bytes]) -> LoggedEntry:
    _, at, _, body, *_ = fields
    return LoggedEntry(int(entry_id.partition(b"-")[0]), int(at), body)


def chat_key(conversation_id: str) -> str:
    """The key of a conversation's hash; all its other keys begin with it, and so are in its slot."""
    return f"chat:{{{conversation_id}}}"


def _late(proposal: Proposal) -> str:
    return f"{chat_key(proposal.conversation_id)}:proposal:{proposal.id}:late"


def _known_reply(command: CommandId, known: bytes) -> Reply:
    _, digest, seq, body = known.decode().split(" ", 3)
    return _same(command, digest, Reply(body, int(seq)))


def _same(command: CommandId, digest: str, reply: Reply) -> Reply:
    if digest != command.digest:
        raise CommandError("id_reused")
    return reply
