"""Every kind of violation is found: a real gateway with the bug in it, the real command line, and status 1.

Each fault is the removal, or the contrary, of what protects that promise; the same play without a fault ends with 0.
"""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import bot.fanout
import bot.flows.applying
import bot.flows.negotiation
import bot.flows.reading
import bot.orders.shop
import cards.rules
from bot.documents.store import Commit, Reply, Store
from bot.entry import Entry, encode_parts
from bot.flows.negotiation import Negotiation
from bot.orders.base import ChangeResult, OrderSystemAway
from bot.orders.shop import Shop
from bot.overview import render_logged
from bot.participant import Role
from bot.sessions import Session
from bot.shopfile import DEMO
from cards.errors import AlreadySettled
from cards.proposal import FINAL, Action, settle
from scheduler.script import Script
from scheduler.timers import Timers

HERE = Path(__file__).parent
CLICKS = ("--answers", "agree=50,reject=50")


def no_outcome(patch):
    async def change(*_, **__):
        raise OrderSystemAway("planted")

    patch.setattr(Shop, "change", change)


def two_outcomes(patch):
    commit = Store.commit

    async def twice(store, decision):
        if decision.changed and decision.changed.state in FINAL:
            decision = replace(decision, entries=[*decision.entries, *decision.entries])
        return await commit(store, decision)

    patch.setattr(Store, "commit", twice)


def no_notice(patch):
    patch.setattr(bot.flows.applying, "notice_of", lambda before, after: None)


def notice_to_who_asked(patch):
    def entry(**parts):
        return Entry(**{**parts, "notice_to": parts["card"].agent_id} if parts["notice"] else parts)

    patch.setattr(bot.flows.applying, "Entry", entry)


def not_delivered(patch, role, sign):
    """Entries that hold this are never sent to people of that role, and counted as if they were."""
    send = Session.send_entry

    def lossy(session, conversation_id, seq, frame):
        if session.who.role is role and sign in frame:
            session.cursors[conversation_id] = seq
        else:
            send(session, conversation_id, seq, frame)

    patch.setattr(Session, "send_entry", lossy)


def notice_not_delivered(patch):
    not_delivered(patch, Role.AGENT, b'"notice"')


def nothing_is_changed(patch):
    async def change(*_, **__):
        return ChangeResult(taken=True, order_version=2)

    patch.setattr(Shop, "change", change)


def paid_lines_are_charged(patch):
    text = bot.orders.shop.CHANGE.text
    assert "if status == 'unpaid' then" in text
    patch.setattr(bot.orders.shop, "CHANGE", Script(text.replace("if status == 'unpaid' then", "if true then")))


def entries_come_twice(patch):
    send = Session.send_entry

    def stutter(session, conversation_id, seq, frame):
        send(session, conversation_id, seq, frame)
        if session.who.role is Role.BUYER:
            session.send(frame)

    patch.setattr(Session, "send_entry", stutter)


def outcomes_get_lost(patch):
    not_delivered(patch, Role.BUYER, b'"state":"rejected"')


def history_is_rewritten(patch):
    def render(entry, audience, locale):
        parts = render_logged(entry, audience, locale)
        if "card" in parts:
            parts["card"]["total_after_cents"] += 1
        return parts

    patch.setattr(bot.flows.reading, "render_logged", render)


def buyers_get_the_agents_view(patch):
    patch.setattr(bot.fanout, "encode_parts", lambda body, audience, locale: encode_parts(body, "agent", locale))


def buyers_are_told_otherwise(patch):
    def encode(body, audience, locale):
        parts = encode_parts(body, audience, locale)
        return parts.replace(b'"state":"rejected"', b'"state":"agreed"') if audience == "buyer" else parts

    patch.setattr(bot.fanout, "encode_parts", encode)


def late_clicks_are_accepted(patch):
    answer = Negotiation.answer

    async def polite(*arguments):
        try:
            return await answer(*arguments)
        except AlreadySettled:
            return Reply("{}", 0)

    patch.setattr(Negotiation, "answer", polite)


def clicks_do_the_opposite(patch):
    def wrong(before, action, **rest):
        return settle(before, Action.REJECT if action is Action.AGREE else action, **rest)

    patch.setattr(bot.flows.negotiation, "settle", wrong)


def timers_come_early(patch):
    arm = Timers.arm

    async def early(timers, timer_id, due):
        await arm(timers, timer_id, due - timedelta(milliseconds=400))

    def obliging(before, action, *, now, **rest):
        return settle(before, action, now=before.deadline if action is Action.EXPIRE else now, **rest)

    def unbounded(*arguments, **rest):
        return Commit(*arguments, **{**rest, "not_before": None})

    patch.setattr(Timers, "arm", early)
    patch.setattr(bot.flows.negotiation, "settle", obliging)
    patch.setattr(bot.flows.applying, "Commit", unbounded)


def lower_prices_pass(patch):
    rules = tuple(rule for rule in cards.rules.LINE_RULES if rule.source != "R4")
    patch.setattr(cards.rules, "LINE_RULES", rules)


def answers_break(patch):
    async def answer(*_):
        raise RuntimeError("planted")

    patch.setattr(Negotiation, "answer", answer)


FAULTS = [
    (no_outcome, "outcome", "no outcomes: pending → applying", ["--answers", "agree=1"]),
    (two_outcomes, "outcome", "2 outcomes: pending → ", CLICKS),
    (no_notice, "notice", "0 notices of 'agreed' instead of 1", ["--answers", "agree=1"]),
    (two_outcomes, "notice", "2 notices of 'rejected' instead of 1", ["--answers", "reject=1"]),
    (notice_to_who_asked, "notice", "is addressed to ", ["--answers", "transfer=1"]),
    (notice_not_delivered, "notice", "did not reach agent ", CLICKS),
    (nothing_is_changed, "order", "and should be", ["--answers", "agree=1"]),
    (paid_lines_are_charged, "order", "and should be", ["--answers", "agree=1"]),
    (entries_come_twice, "gap", "after 3 came 3", CLICKS),
    (entries_come_twice, "protocol", "seq 3 after 3", CLICKS),
    (outcomes_get_lost, "gap", "seen by buyer", ["--answers", "reject=1"]),
    (history_is_rewritten, "history", "card differ", CLICKS),
    (buyers_get_the_agents_view, "leak", "saw notice", CLICKS),
    (buyers_are_told_otherwise, "disagreement", "agreed to buyer", ["--answers", "reject=1"]),
    (late_clicks_are_accepted, "cause", "were both accepted", [*CLICKS, "--two-devices", 100]),
    (clicks_do_the_opposite, "cause", "it is rejected after agree", ["--answers", "agree=1", "--two-devices", 0]),
    (timers_come_early, "deadline", "ms before its deadline", ["--answers", "ignore=1"]),
    (lower_prices_pass, "expect", "expected refused, got a card", ["--changes", HERE / "corners.jsonl"]),
    (answers_break, "error", "was answered with internal", CLICKS),
]


@pytest.mark.parametrize(
    ("fault", "kind", "what", "arguments"), FAULTS, ids=[f"{fault.__name__}-{kind}" for fault, kind, *_ in FAULTS]
)
def test_a_planted_fault_is_found(fault, kind, what, arguments, gateway, simulate, monkeypatch):
    shop = HERE / "corners.json" if "--changes" in arguments else DEMO
    count = () if "--changes" in arguments else ("--negotiations", 16, "--seed", 7)
    fault(monkeypatch)
    url = gateway(shop, answer_window=timedelta(seconds=1))
    played = simulate("--shop", shop, "--url", url, "--patience", "0.5s", *count, *arguments)
    assert played.status == 1, played.err
    found = [violation["what"] for violation in played.report["violations"] if violation["kind"] == kind]
    assert any(what in one for one in found), played.report["violations"]
    if kind in ("expect", "error", "cause"):
        assert played.report["as_expected"] < played.report["cases"]


def test_without_a_fault_there_is_nothing_to_find(gateway, simulate):
    """The plays of the faults above, all at once."""
    url = gateway(DEMO, answer_window=timedelta(seconds=1))
    answers = "agree=3,reject=3,transfer=1,withdraw=1,ignore=1,refund=1"
    played = simulate("--url", url, "--negotiations", 30, "--answers", answers, "--two-devices", 50)
    assert (played.status, played.report["violations"]) == (0, [])
    assert played.report["cards"] == 30


def test_a_shop_that_runs_out_of_orders_is_said(gateway, simulate):
    """Its only order has nothing to change to: a simulation of nothing must not look like a success."""
    shop = HERE / "one_order.json"
    played = simulate("--shop", shop, "--url", gateway(shop), "--negotiations", 5, "--answers", "agree=1")
    assert (played.status, played.kinds) == (1, {"short"})
