"""The final state of a run: what is stored, scanned on every primary, and what fresh readers are shown of it.

Law: no gateway is asked what it remembers. Readers have just come and keep nothing; nobody's coming changes anything.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol
from zlib import crc32

import orjson

from bot.auth import Tokens
from bot.client import ChatClient
from bot.participant import Participant, Role
from cards.texts import Locale
from tests.faults.torture.cast import Cast

Audience = Literal["agent", "buyer"]
Body = dict[str, Any]
Primary = Any
"""A redis.asyncio client whose replies are bytes; its own types leave that open."""

_SCAN = 1000
_PAGE = 200
_READERS = 8
_PATIENCE_S = 60.0
_CARD = {"state": "pending", "version": 1}
_CONVERSATION = {"agent_id": None, "open": True}


@dataclass(frozen=True, slots=True)
class Logged:
    """An entry of a log as it is stored. A card and a conversation in `body` have their defaults filled in."""

    seq: int
    at_ms: int
    flags: str
    body: Body


@dataclass(frozen=True, slots=True)
class View:
    """A log as a fresh reader was given it: each entry's seq, and the entry, `canonical`."""

    audience: Audience
    locale: str
    entries: Sequence[tuple[int, bytes]]


@dataclass(slots=True)
class Final:
    """What there is when all is quiet: everything by its id, instants in Unix ms."""

    began_ms: int = 0
    """When reading began: every view has what was there before."""
    now_ms: int = 0
    """When all was read."""
    logs: dict[str, list[Logged]] = field(default_factory=dict)
    conversations: dict[str, Body] = field(default_factory=dict)
    """The documents."""
    marks: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of each conversation what its hash says beside the document: `seq`, `cards`, `read:agent` …"""
    proposals: dict[str, Body] = field(default_factory=dict)
    holds: dict[str, dict[str, str]] = field(default_factory=dict)
    """By conversation: of each held order the proposal."""
    orders_before: dict[str, Body] = field(default_factory=dict)
    orders_after: dict[str, Body] = field(default_factory=dict)
    stock_before: dict[str, int] = field(default_factory=dict)
    stock_after: dict[str, int] = field(default_factory=dict)
    changes: dict[str, dict[str, Body]] = field(default_factory=dict)
    """By order: the results that the shop keeps, by change id, which is the proposal's."""
    timers: dict[str, int] = field(default_factory=dict)
    """When each timer that is left fires next."""
    leases: list[str] = field(default_factory=list)
    """Timers that somebody has claimed."""
    views: dict[str, list[View]] = field(default_factory=dict)
    """By conversation."""


def canonical(entry: Body) -> bytes:
    """An entry as text, the same for equal ones, without what belongs to its being sent."""
    own = {name: part for name, part in entry.items() if name not in ("type", "conversation_id", "now_ms")}
    return orjson.dumps(own, option=orjson.OPT_SORT_KEYS)


class Stored(Protocol):
    """Of a store what is needed here."""

    def primaries(self) -> AbstractAsyncContextManager[Sequence[Primary]]:
        """Clients of today's primaries."""
        ...


async def read_final(store: Stored, urls: Sequence[str], secret: str, cast: Cast) -> Final:
    """All of it, when all is quiet. Raises RedisError, TimeoutError or CommandFailed where that cannot be read."""
    shop = cast.shop
    final = Final(
        orders_before={row.id: row.order(shop.shop.id).model_dump(mode="json") for row in shop.orders},
        stock_before={sku.id: sku.stock for product in shop.products for sku in product.skus},
    )
    async with store.primaries() as primaries:
        final.began_ms = await _now_ms(primaries)
        for primary in primaries:
            await _read_conversations(primary, final)
        final.views = await _Readers(urls, secret, cast).read(final.conversations)
        # Read after the views: what was said in between is in the log, and in no view.
        for primary in primaries:
            await _read_stored(primary, final)
        final.now_ms = await _now_ms(primaries)
    return final


async def _now_ms(primaries: Sequence[Primary]) -> int:
    """The servers' time; of several the earliest."""
    times: list[tuple[int, int]] = [await primary.time() for primary in primaries]
    return min(seconds * 1000 + micros // 1000 for seconds, micros in times)


async def _read_conversations(primary: Primary, final: Final) -> None:
    async for match in _keys(primary, rb"chat:\{(?P<chat>[^}]+)\}"):
        if body := await primary.hget(match.string, "b"):
            final.conversations[match["chat"].decode()] = {**_CONVERSATION, **orjson.loads(body)}


async def _read_stored(primary: Primary, final: Final) -> None:
    kinds: dict[bytes, Callable[[Primary, re.Match[bytes], Final], Awaitable[None]]] = {
        rb"chat:\{(?P<chat>[^}]+)\}": _chat,
        rb"chat:\{(?P<chat>[^}]+)\}:log": _log,
        rb"chat:\{[^}]+\}:proposal:(?P<id>[^:]+)": _proposal,
        rb"chat:\{(?P<chat>[^}]+)\}:hold:(?P<order>.+)": _hold,
        rb"shop:\{[^}]+\}:order:(?P<order>.+)": _order,
        rb"shop:\{[^}]+\}:skus": _skus,
        rb"timers:\{\d+\}": _timers,
        rb"timers:\{\d+\}:leases": _leases,
    }
    compiled = [(re.compile(pattern), read) for pattern, read in kinds.items()]
    async for match in _keys(primary, rb"(chat|shop|timers):.*"):
        for pattern, read in compiled:
            if found := pattern.fullmatch(match.string):
                await read(primary, found, final)


async def _keys(primary: Primary, pattern: bytes) -> AsyncIterator[re.Match[bytes]]:
    compiled = re.compile(pattern, re.DOTALL)
    async for key in primary.scan_iter(count=_SCAN):
        if match := compiled.fullmatch(key):
            yield match


async def _chat(primary: Primary, key: re.Match[bytes], final: Final) -> None:
    """The document and the log of one instant: whoever went home long enough ago is losing conversations by now."""
    async with primary.pipeline(transaction=True) as both:
        fields, entries = await both.hgetall(key.string).xrange(key.string + b":log").execute()
    marks = {name.decode(): value.decode() for name, value in fields.items()}
    id, body = key["chat"].decode(), marks.pop("b", None)
    final.marks[id] = marks
    if entries:
        final.logs[id] = [_logged(*entry) for entry in entries]
    if body:
        final.conversations[id] = {**_CONVERSATION, **orjson.loads(body)}


async def _log(primary: Primary, key: re.Match[bytes], final: Final) -> None:
    """A log that may have no document; one that has is read with it."""
    id = key["chat"].decode()
    if id not in final.logs:
        final.logs[id] = [_logged(*entry) for entry in await primary.xrange(key.string)]


def _logged(entry_id: bytes, entry: Mapping[bytes, bytes]) -> Logged:
    seq, flags = int(entry_id.partition(b"-")[0]), entry.get(b"for", b"").decode()
    return Logged(seq, int(entry[b"at"]), flags, read_body(entry[b"e"]))


def read_body(text: bytes) -> Body:
    """An entry's body as a log keeps it: what is the default is left out there."""
    body: Body = orjson.loads(text)
    for name, defaults in (("card", _CARD), ("conversation", _CONVERSATION)):
        if name in body:
            body[name] = {**defaults, **body[name]}
    return body


async def _proposal(primary: Primary, key: re.Match[bytes], final: Final) -> None:
    if (body := await primary.hget(key.string, "b")) is not None:
        final.proposals[key["id"].decode()] = orjson.loads(body)


async def _hold(primary: Primary, key: re.Match[bytes], final: Final) -> None:
    if (held := await primary.get(key.string)) is not None:
        final.holds.setdefault(key["chat"].decode(), {})[key["order"].decode()] = held.decode()


async def _order(primary: Primary, key: re.Match[bytes], final: Final) -> None:
    parts = await primary.hgetall(key.string)
    id, body = key["order"].decode(), parts.pop(b"body", None)
    if body is not None:
        final.orders_after[id] = orjson.loads(body)
    final.changes[id] = {
        name.decode().removeprefix("first:"): orjson.loads(result)
        for name, result in parts.items()
        if name.startswith(b"first:")
    }


async def _skus(primary: Primary, key: re.Match[bytes], final: Final) -> None:
    for name, value in (await primary.hgetall(key.string)).items():
        if name.endswith(b".stock"):
            final.stock_after[name.decode().removesuffix(".stock")] = int(value)


async def _timers(primary: Primary, key: re.Match[bytes], final: Final) -> None:
    for id, due in await primary.zrange(key.string, 0, -1, withscores=True):
        final.timers[id.decode()] = int(due)


async def _leases(primary: Primary, key: re.Match[bytes], final: Final) -> None:
    final.leases += [id.decode() for id in await primary.hkeys(key.string)]


class _Readers:
    """Reads every log as both sides see it, in both languages.

    For the agents' side a supervisor reads: a coming agent would be given what waits at the desk.
    """

    def __init__(self, urls: Sequence[str], secret: str, cast: Cast) -> None:
        self._urls = urls
        self._tokens = Tokens(secret)
        self._shop_id = cast.shop.shop.id
        self._names = {buyer.id: buyer.name for buyer in cast.shop.buyers}
        self._places = asyncio.Semaphore(_READERS)

    async def read(self, conversations: dict[str, Body]) -> dict[str, list[View]]:
        """The views of these conversations."""
        views: dict[str, list[View]] = {id: [] for id in conversations}

        async def read_as_buyer(id: str, buyer_id: str, locale: Locale) -> None:
            async with self._places, self._reader(Role.BUYER, buyer_id, locale) as reader:
                views[id].append(View("buyer", locale.value, await _history(reader, id)))

        async def read_as_agent(locale: Locale) -> None:
            async with self._places, self._reader(Role.SUPERVISOR, "torture", locale) as reader:
                for id in conversations:
                    views[id].append(View("agent", locale.value, await _history(reader, id)))

        async with asyncio.TaskGroup() as group:
            for locale in Locale:
                group.create_task(read_as_agent(locale))
                for id, body in conversations.items():
                    group.create_task(read_as_buyer(id, body["buyer_id"], locale))
        return views

    def _reader(self, role: Role, id: str, locale: Locale) -> ChatClient:
        expires = datetime.now(UTC) + timedelta(days=1)
        name = self._names.get(id, id)  # another one would be remembered
        who = Participant(role=role, id=id, shop_id=self._shop_id, name=name, expires=expires)
        first = crc32(id.encode()) % len(self._urls)
        urls = [*self._urls[first:], *self._urls[:first]]
        return ChatClient(urls, self._tokens.sign(who), locale=locale.value, patience=_PATIENCE_S)


async def _history(reader: ChatClient, conversation_id: str) -> list[tuple[int, bytes]]:
    """All that is kept, page by page from its end."""
    pages: list[list[tuple[int, bytes]]] = []
    before = None
    while True:
        page = await reader.history(conversation_id, before=before, limit=_PAGE)
        if not page["entries"]:
            break
        pages.append([(entry["seq"], canonical(entry)) for entry in page["entries"]])
        before = page["entries"][0]["seq"]
        if before <= page["first_seq"]:
            break
    return [entry for page in reversed(pages) for entry in page]
