"""Bugs to plant in gateways, so that the checker can be seen red over real sockets.

Law: each is a bug that somebody might write, in one place, and the rest of the gateway stays as it is.
"""

import asyncio
import contextlib
import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from bot.app import House
from bot.documents import store as store_module
from bot.documents.store import Commit, Committed, LoggedEntry, Reply, Stale
from bot.entry import Entry, encode_parts
from bot.flows.applying import _lines
from bot.frames import encode_entry
from bot.participant import Role, live_channel
from bot.sessions import Session
from cards.errors import AlreadySettled
from cards.proposal import Action, settle
from scheduler.script import Script

EARLY = timedelta(seconds=1)
"""How long before its deadline `early_timeout` ends a card."""
LOST = 10
"""`lost_ack` loses one command of so many."""
SKIPPED = 15
"""`skipped_entry` drops one entry of so many."""
OPEN_RACE = 0.1
"""Seconds between a decision and its commit, so that two people's clicks cross."""

_VERSIONS = (
    "if (redis.call('HGET', document.key, 'v') or '0') ~= document.expected then",
    "if document.expected == '0' and redis.call('HEXISTS', document.key, 'v') == 1 then",
)
_HOLDS = ("if (redis.call('GET', hold.key) or '') ~= hold.expected then", "if false then")
_LAST_HOLD = (
    _HOLDS[0],
    "if hold.expected == '' and redis.call('EXISTS', hold.key) == 1 then",
)


def agree_without_version_check(house: House) -> None:
    """Commits no longer compare versions: of two answers that cross, both count."""
    _weaken(house, _VERSIONS, _LAST_HOLD)
    commit = house.store.commit

    async def slow(decision: Commit) -> Committed:
        if decision.proposal is not None and decision.changed is not None and decision.command is not None:
            await asyncio.sleep(OPEN_RACE)
        return await commit(decision)

    house.store.commit = slow  # type: ignore[method-assign, assignment]


def lost_ack(house: House) -> None:
    """Now and then a message or an answer is answered `ok`, and nothing was written."""
    commit, seen = house.store.commit, 0

    async def lose(decision: Commit) -> Committed:
        nonlocal seen
        said = any(entry.text is not None for entry in decision.entries)
        if decision.command is None or not (said or (decision.proposal and decision.changed)):
            return await commit(decision)
        seen += 1
        if seen % LOST:
            return await commit(decision)
        (overview,) = await house.store.overviews([decision.conversation_id])
        return Committed(Reply(decision.reply, overview.seq if overview else 0), repeated=True)

    house.store.commit = lose  # type: ignore[method-assign, assignment]


def early_timeout(house: House) -> None:
    """A card ends a second before its deadline."""
    arm, commit, parts = house.timers.arm, house.store.commit, house.parts

    async def arm_early(timer_id: str, due: datetime) -> None:
        await arm(timer_id, due - EARLY if timer_id.startswith("expire:") else due)

    async def commit_early(decision: Commit) -> Committed:
        return await commit(replace(decision, not_before=None))

    async def expire(conversation_id: str, proposal_id: str) -> None:
        loaded = await parts.load(conversation_id, proposals=(proposal_id,))
        if (before := loaded.proposals[0]) is None:
            return
        try:
            after = settle(before, Action.EXPIRE, now=loaded.now + EARLY)
        except AlreadySettled:
            return
        await house.applying.commit_settled(loaded, before, after)

    house.timers.arm = arm_early  # type: ignore[method-assign]
    house.store.commit = commit_early  # type: ignore[method-assign, assignment]
    house.negotiation.expire = expire  # type: ignore[method-assign]


def notice_to_first_agent(house: House) -> None:
    """The outcome is told to who proposed, though the conversation was handed to somebody else meanwhile."""
    commit = house.store.commit

    async def tell_first(decision: Commit) -> Committed:
        if (card := decision.changed) is None or not any(entry.notice for entry in decision.entries):
            return await commit(decision)
        entries = [entry.model_copy(update={"notice_to": card.agent_id}) for entry in decision.entries]
        channels = [
            live_channel(card.shop_id, Role.BUYER, card.buyer_id),
            live_channel(card.shop_id, Role.AGENT, card.agent_id),
        ]
        return await commit(replace(decision, entries=entries, channels=channels))

    house.store.commit = tell_first  # type: ignore[method-assign, assignment]


def change_before_consent(house: House) -> None:
    """The order is changed as soon as the card is sent (and looked at once more)."""
    commit, parts = house.store.commit, house.parts

    async def and_change(decision: Commit) -> Committed:
        committed = await commit(decision)
        card = decision.changed
        if card is not None and decision.proposal is None and not committed.repeated:

            async def change() -> None:
                await asyncio.sleep(OPEN_RACE)
                await parts.orders.change(card.shop_id, card.order_id, card.id, _lines(card), paid=card.paid)

            parts.background.start(change(), "changing an order before anybody agreed")
        return committed

    house.store.commit = and_change  # type: ignore[method-assign, assignment]


def double_notice(house: House) -> None:
    """The agent is told each outcome twice, in two entries."""
    commit = house.store.commit

    async def tell_twice(decision: Commit) -> Committed:
        committed = await commit(decision)
        for entry in decision.entries if decision.changed is not None and not committed.repeated else ():
            if entry.notice is not None:
                again = Commit(
                    decision.conversation_id,
                    decision.conversation_version,
                    entries=[Entry(card=entry.card, notice=entry.notice, notice_to=entry.notice_to)],
                    channels=decision.channels,
                )
                with contextlib.suppress(Stale):
                    await commit(again)
        return committed

    house.store.commit = tell_twice  # type: ignore[method-assign, assignment]


def skipped_entry(house: House) -> None:
    """Now and then an entry is counted as sent to somebody who was not sent it."""
    send, seen = house.fanout._send, 0

    def skip(session: Session, conversation_id: str, entry: LoggedEntry) -> None:
        nonlocal seen
        seen += 1
        if seen % SKIPPED:
            send(session, conversation_id, entry)
        else:
            session.cursors[conversation_id], session.at_ms[conversation_id] = entry.seq, entry.at_ms

    house.fanout._send = skip  # type: ignore[method-assign]


def resume_from_next(house: House) -> None:
    """Who comes back with a cursor is sent what follows from the entry after the next one on."""
    resume = house.fanout.resume

    async def from_next(session: Session, cursors: Mapping[str, int]) -> None:
        later = {}
        for conversation_id, seq in cursors.items():
            last = (await house.store.read_before(conversation_id, None, 1)).last_seq
            later[conversation_id] = seq + 1 if seq < last else seq
        await resume(session, later)

    house.fanout.resume = from_next  # type: ignore[method-assign]


def leaky_notice(house: House) -> None:
    """Buyers are shown what is for the agent only."""
    send, clock = house.fanout._send, house.parts.clock

    def leak(session: Session, conversation_id: str, entry: LoggedEntry) -> None:
        shown = orjson.loads(encode_parts(entry.body, "agent", session.locale))
        if session.who.role is not Role.BUYER or "notice" not in shown:
            send(session, conversation_id, entry)
            return
        own = orjson.loads(encode_parts(entry.body, "buyer", session.locale))
        parts = orjson.dumps({**own, "notice": shown["notice"]})
        frame = encode_entry(clock.now_ms(), conversation_id, entry.seq, entry.at_ms, parts)
        session.send_entry(conversation_id, entry.seq, frame)

    house.fanout._send = leak  # type: ignore[method-assign]


def second_proposal(house: House) -> None:
    """An order that waits on a proposal may be proposed about again (R8)."""
    _weaken(house, _HOLDS)

    async def whatever(*_: object) -> None:
        pass

    house.negotiation._check_not_held = whatever  # type: ignore[method-assign, assignment]


def forgotten_apply(house: House) -> None:
    """A consent whose order system was away is not asked for again."""
    arm = house.timers.arm

    async def arm_but(timer_id: str, due: datetime) -> None:
        if not timer_id.startswith("apply:"):
            await arm(timer_id, due)

    async def forget(*_: object) -> None:
        pass

    house.timers.arm = arm_but  # type: ignore[method-assign]
    house.applying.retry = forget  # type: ignore[method-assign, assignment]


PLANTED: Mapping[str, Callable[[House], None]] = {
    bug.__name__: bug
    for bug in (
        agree_without_version_check,
        lost_ack,
        early_timeout,
        notice_to_first_agent,
        change_before_consent,
        double_notice,
        skipped_entry,
        resume_from_next,
        leaky_notice,
        second_proposal,
        forgotten_apply,
    )
}
"""Every bug by its name; each takes a house that does not run yet."""


def _weaken(house: House, *weaknesses: tuple[str, str]) -> None:
    """Have that house commit by a script in which each first text is the second."""
    right, scripts = store_module._COMMIT, house.store._scripts
    weak = copy.copy(right)
    for strong, feeble in weaknesses:
        assert strong in weak.text, f"commit.lua no longer says {strong!r}: plant this bug anew"
        weak.text = weak.text.replace(strong, feeble)
    weak.sha = hashlib.sha1(weak.text.encode(), usedforsecurity=False).hexdigest()

    class Weak:
        async def run(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
            return await scripts.run(weak if script is right else script, keys, args)

    house.store._scripts = Weak()
