"""The busy shop's checker by itself: evidence that is sound, then doctored in one place.

Ann writes to mo, waits too long once, is transferred to an, lets a card time out, is closed, and comes again to an.
Bea writes to mo, who goes away; she waits too long and is given to an; mo comes back and is told.
"""

import copy
from dataclasses import replace

import pytest

from bot.simulate.busy.checker import check_busy
from bot.simulate.busy.evidence import (
    BusyEvidence,
    Connection,
    Deed,
    Document,
    Limits,
    Notebook,
    Said,
    Shift,
    Shown,
)
from bot.simulate.evidence import Case, Evidence, Seen, Story
from bot.simulate.mix import Answer

ANN, BEA = "shop.ann", "shop.bea"
START, LEFT, BACK, END = 99_000, 105_000, 125_000, 130_000
LIMITS = Limits(
    conversations=2,
    grace_ms=1000,
    lease_ms=600,
    warning_ms=100,
    overdue_ms=200,
    window_ms=1000,
    remind_before_ms=100,
    late_ms=100,
)


def entry(
    seq, at_ms, *, unread=(), by=None, text=None, system=None, notice=None, to=None, agent="", is_open=True, **parts
):
    """For both audiences; `unread` names those that it asks for attention. `agent` is whose it is from then on."""
    one = {"seq": seq, "at_ms": at_ms, "for": unread, **parts}
    if text:
        one["text"] = {"by": {"role": by, "id": by}, "text": text}
    if system:
        one["system"] = {"code": system, "text": system}
    if notice:
        one["notice"] = {"code": notice, "agent_id": to}
    if agent != "":
        one["conversation"] = {"agent_id": agent, "open": is_open}
    return one


def card(state, version):
    return {
        "proposal_id": "P",
        "order_id": "o1",
        "state": state,
        "version": version,
        "deadline_ms": 101_600,
        "total_after_cents": 1,
        "reason": None,
    }


def logs():
    ann = [
        entry(1, 100_000, unread="agent", by="buyer", text="m1", system="assigned", agent="mo"),
        entry(2, 100_050, unread="buyer", by="agent", text="yes?"),
        entry(3, 100_100, unread="agent", by="buyer", text="m2"),
        entry(4, 100_205, notice="reply_warning", to="mo"),
        entry(5, 100_305, notice="reply_overdue", to="mo"),
        entry(6, 100_400, unread="buyer", by="agent", text="sorry"),
        entry(7, 100_500, system="transferred_because", agent="an"),
        entry(8, 100_600, unread="buyer", card=card("pending", 1)),
        entry(9, 100_700, unread="buyer", system="reminded"),
        entry(10, 101_550, unread=("agent", "buyer"), system="near_deadline"),
        entry(11, 101_600, unread=("agent", "buyer"), card=card("timed_out", 2), notice="timed_out", to="an"),
        entry(12, 101_700, system="closed", agent=None, is_open=False),
        entry(13, 110_000, unread="agent", by="buyer", text="m3", system="assigned", agent="an"),
        entry(14, 110_050, unread="buyer", by="agent", text="yes?"),
    ]
    bea = [
        entry(1, 104_000, unread="agent", by="buyer", text="b1", system="assigned", agent="mo"),
        entry(2, 104_050, unread="buyer", by="agent", text="yes?"),
        entry(3, 105_500, unread="agent", by="buyer", text="b2"),
        entry(4, 105_605, notice="reply_warning", to="mo"),
        entry(5, 105_705, notice="reply_overdue", to="mo"),
        entry(6, 106_100, system="reassigned", agent="an"),
        entry(7, 106_150, unread="buyer", by="agent", text="yes?"),
    ]
    for log, since in ((ann, "100100"), (bea, "105500")):
        for one in log:
            if one.get("notice", {}).get("code", "").startswith("reply"):
                one["notice"]["asked_ms"] = since
    ann[6]["system"]["reason"] = "between agents: 7"
    ann[10]["notice"]["proposal_id"] = "P"
    for one in (ann[8], ann[9]):
        one["system"]["proposal_id"] = "P"
    return {ANN: ann, BEA: bea}


def seen_by(log, audience):
    entries = []
    for one in copy.deepcopy(log):
        if audience in one.pop("for"):
            one["unread"] = True
        if audience == "buyer":
            one.pop("notice", None)
            one.get("system", {}).pop("reason", None)
        entries.append(one)
    return entries


def stories():
    found = []
    for id, log in logs().items():
        buyer = id.removeprefix("shop.")
        devices = [
            (f"buyer {buyer}, device 1", "buyer", buyer),
            ("agent mo, device 1", "agent", "mo"),
            ("agent an, device 1", "agent", "an"),
        ]
        views = {audience: seen_by(log, audience) for audience in ("agent", "buyer")}
        seen = [Seen(name, audience, person, copy.deepcopy(views[audience])) for name, audience, person in devices]
        found.append(Story(id, 0, None, len(log), views, seen))
    return found


def item(id, read, unread):
    return {
        "conversation_id": id,
        "agent_id": "an",
        "open": True,
        "seq": 14 if id == ANN else 7,
        "read": read,
        "unread": unread,
        "cards": [],
    }


def welcome(conversations=(), **members):
    return {"conversations": list(conversations), "waiting": [], **members}


def notebooks():
    missed = {"from_ms": LEFT, "to_ms": BACK, "outcomes": {}, "new_conversations": 0, "handed_on": 1, "overdue": 1}
    mo = Notebook("agent mo, device 1", "agent", "mo", "shop")
    mo.connections = [Connection(welcome(missed=None), START, LEFT), Connection(welcome(missed=missed), BACK, END)]
    an = Notebook("agent an, device 1", "agent", "an", "shop")
    an.connections = [Connection(welcome(missed=None), START, END, [((ANN, "agent"), 8), ((ANN, "agent"), 11)])]
    an.signs = [(107_000, "mo", "offline"), (BACK, "mo", "online")]
    an.shown = {("entry", ANN), ("entry", BEA), ("presence of agent", "mo"), ("presence of buyer", "ann")}
    an.read = {ANN: 11}
    books = [mo, an]
    for buyer in ("ann", "bea"):
        book = Notebook(f"buyer {buyer}, device 1", "buyer", buyer, "shop")
        book.connections = [Connection(welcome(), START, END)]
        book.shown = {("entry", f"shop.{buyer}"), ("presence of agent", "an")}
        books.append(book)
    return books


def sound():
    reads = {ANN: {"agent": 11, "buyer": 14}, BEA: {"agent": 0, "buyer": 0}}
    sides = {
        ANN: {"agent": item(ANN, reads[ANN], 1), "buyer": item(ANN, reads[ANN], 0)},
        BEA: {"agent": item(BEA, reads[BEA], 2), "buyer": item(BEA, reads[BEA], 2)},
    }
    order = {"o1": {"status": "paid", "lines": [{"line_id": "a", "sku_id": "s", "unit_price_cents": 1, "quantity": 1}]}}
    case = Case(1, "o1", ANN, {"a": "t"}, {"a": 1}, raced=True, proposal_id="P", answer=Answer.IGNORE)
    mo = Shift("mo", taking=[(START, LEFT), (BACK, END)], out=[(LEFT + 50, BACK - 50)], away=[(LEFT, BACK)])
    return BusyEvidence(
        cards=Evidence([case], stories(), order, copy.deepcopy(order), away={"mo": [(LEFT, BACK)]}),
        limits=LIMITS,
        ended_ms=END,
        said=[
            *(Said("buyer ann, device 1", ANN, text, "ok") for text in ("m1", "m2", "m3")),
            *(Said("buyer bea, device 1", BEA, text, "ok") for text in ("b1", "b2")),
        ],
        deeds=[Deed("the agent", "transfer", ANN, "ok"), Deed("the agent", "close", ANN, "open_cards")],
        notebooks=notebooks(),
        shifts={"mo": mo, "an": Shift("an", taking=[(START, END)])},
        documents=[Document(id, both) for id, both in sides.items()],
        lists={"mo": [], "an": [sides[ANN]["agent"], sides[BEA]["agent"]]},
        waiting=[],
        counted={"mo": 0, "an": 2},
        shown=[Shown("agent an, device 1", dict(sides[id]["agent"]), sides[id]["agent"]) for id in (ANN, BEA)],
    )


@pytest.fixture
def evidence():
    return copy.deepcopy(sound())


def everywhere(evidence, id, seq):
    """Every copy of that entry."""
    story = next(one for one in evidence.cards.stories if one.conversation_id == id)
    views = [*story.read_back.values(), *(seen.entries for seen in story.seen)]
    return [one for entries in views for one in entries if one["seq"] == seq]


def change(evidence, id, seq, **parts):
    for one in everywhere(evidence, id, seq):
        one.update(copy.deepcopy(parts))


def without(evidence, id, seq, part):
    for one in everywhere(evidence, id, seq):
        one.pop(part, None)


def test_sound_evidence_has_no_violation(evidence):
    assert check_busy(evidence) == []


def said_twice(evidence):
    change(evidence, ANN, 6, text={"by": {"role": "buyer", "id": "ann"}, "text": "m1"})


def lost(evidence):
    without(evidence, ANN, 3, "text")


def out_of_order(evidence):
    evidence.said[0], evidence.said[1] = evidence.said[1], evidence.said[0]


def said_by_nobody(evidence):
    evidence.said.pop()


def restless(evidence):
    return replace(evidence, last="restless")


def in_two_lists(evidence):
    evidence.lists["mo"].append(evidence.lists["an"][0])


def in_no_list(evidence):
    evidence.lists["an"].pop()


def with_nobody(evidence):
    evidence.documents[1].sides["agent"]["agent_id"] = None


def document_differs(evidence):
    evidence.documents[1].sides["agent"]["agent_id"] = "mo"


def counted_wrong(evidence):
    evidence.counted["mo"] = 1


def too_many(evidence):
    return replace(evidence, limits=replace(LIMITS, conversations=1))


def given_to_somebody_away(evidence):
    change(evidence, ANN, 13, conversation={"agent_id": "mo", "open": True})


def given_to_the_same(evidence):
    change(evidence, BEA, 6, conversation={"agent_id": "mo", "open": True})


def left_waiting(evidence):
    change(evidence, BEA, 1, at_ms=102_000, conversation={"agent_id": None, "open": True})
    change(evidence, BEA, 2, at_ms=104_000, conversation={"agent_id": "mo", "open": True})


def to_another_agent(evidence):
    evidence.shifts["mo"].out.clear()
    change(evidence, ANN, 13, conversation={"agent_id": "mo", "open": True})


def kept_while_away(evidence):
    change(evidence, BEA, 6, at_ms=120_000)
    change(evidence, BEA, 7, at_ms=120_050)


def mark_moves_back(evidence):
    evidence.notebooks[1].connections[0].reads.reverse()


def welcomed_with_an_older_mark(evidence):
    evidence.notebooks[1].connections.append(
        Connection(welcome([item(ANN, {"agent": 5, "buyer": 0}, 0)], missed=None), END, END)
    )


def read_and_forgotten(evidence):
    evidence.notebooks[1].read[ANN] = 13


def miscounted_unread(evidence):
    evidence.documents[1].sides["buyer"]["unread"] = 0


def marks_differ(evidence):
    evidence.documents[0].sides["buyer"]["read"] = {"agent": 10, "buyer": 14}


def list_differs(evidence):
    evidence.shown[0].kept["asked_ms"] = 5


def phantom_in_a_list(evidence):
    evidence.shown.append(Shown("agent mo, device 1", {"conversation_id": ANN}, None))


def early_overdue(evidence):
    change(evidence, ANN, 5, at_ms=100_299)


def late_overdue(evidence):
    change(evidence, ANN, 5, at_ms=100_401)
    change(evidence, ANN, 6, at_ms=100_420)


def no_overdue(evidence):
    without(evidence, BEA, 5, "notice")


def overdue_twice(evidence):
    change(evidence, ANN, 4, notice=everywhere(evidence, ANN, 5)[0]["notice"])


def overdue_for_nothing(evidence):
    change(evidence, ANN, 10, notice=everywhere(evidence, ANN, 5)[0]["notice"])


def overdue_to_another(evidence):
    for one in everywhere(evidence, ANN, 5):
        if "notice" in one:
            one["notice"]["agent_id"] = "an"


def not_told_of_the_overdue(evidence):
    evidence.notebooks[0].connections[1].welcome["missed"]["overdue"] = 0


def not_told_what_went(evidence):
    evidence.notebooks[0].connections[1].welcome["missed"]["handed_on"] = 0


def other_shop(evidence):
    evidence.notebooks[1].shown.add(("entry", "shop-next-door.ann"))


def other_buyer(evidence):
    evidence.notebooks[2].shown.add(("typing", BEA))


def stranger(evidence):
    evidence.notebooks[1].shown.add(("presence of buyer", "sim-next-door"))


def reason_told(evidence):
    next(seen for seen in evidence.cards.stories[0].seen if seen.audience == "buyer").entries[6]["system"]["reason"] = (
        "r"
    )


def desk_told(evidence):
    evidence.notebooks[2].connections[0].welcome["waiting"].append(item(BEA, {}, 0))


def asked_told(evidence):
    asked = {**item(ANN, {}, 0), "asked_ms": 5}
    evidence.notebooks[2].connections[0].welcome["conversations"].append(asked)


def reminded_twice(evidence):
    # More than the time that a decision may take after the first, and in the same quarter by any reckoning.
    evidence_of_long_cards = replace(evidence, limits=replace(LIMITS, window_ms=8000))
    change(evidence_of_long_cards, ANN, 10, at_ms=100_710, system={"code": "reminded", "text": "", "proposal_id": "P"})
    return evidence_of_long_cards


def reminded_of_a_settled_one(evidence):
    change(evidence, ANN, 12, system={"code": "reminded", "text": "", "proposal_id": "P"})


def reminded_too_early(evidence):
    change(evidence, ANN, 10, at_ms=101_000)


def refused_for_nothing(evidence):
    evidence.deeds.append(Deed("the agent", "reply", ANN, "busy"))


def not_said(evidence):
    evidence.said[0].reply = "internal"


DOCTORS = [
    (said_twice, "message", "'m1' is in the log 2 times (seq [1, 6])"),
    (lost, "message", "'m2' is in the log 0 times"),
    (out_of_order, "message", "sent 'm2' (seq 3) before 'm1' (seq 1)"),
    (said_by_nobody, "message", "nobody said 'b2'"),
    (restless, "hands", "did not come to rest"),
    (in_two_lists, "hands", "shop.ann: the document says ['an'], the lists say ['mo', 'an']"),
    (in_no_list, "hands", "shop.bea: the document says ['an'], the lists say []"),
    (with_nobody, "hands", "shop.bea: nobody has it"),
    (document_differs, "hands", "the log ends with an (open: True), the document says mo"),
    (counted_wrong, "count", "counts 1 conversations of mo, whose list has 0"),
    (too_many, "limit", "an has 2 of at most 1 with shop.ann (seq 13)"),
    (given_to_somebody_away, "given", "assigned to mo (seq 13), who takes none then"),
    (given_to_the_same, "given", "reassigned from mo to the same (seq 6)"),
    (left_waiting, "waiting", "shop.bea waits for 2000 ms while mo has room"),
    (to_another_agent, "returned", "(seq 13): mo got it, though an was here with room"),
    (kept_while_away, "kept", "shop.bea waits for mo, who is away, 11000 ms"),
    (mark_moves_back, "read", "read by the agent in shop.ann goes from 11 back to 8"),
    (welcomed_with_an_older_mark, "read", "goes from 11 back to 5"),
    (read_and_forgotten, "read", "read up to 13, and the mark is 11"),
    (miscounted_unread, "unread", "shop.bea: 0 unread for the buyer, and 2 by the log"),
    (marks_differ, "unread", "shop.ann: read marks"),
    (list_differs, "list", "asked_ms is 5 instead of None"),
    (phantom_in_a_list, "list", "has shop.ann in its list, the gateway has not"),
    (early_overdue, "reply_time", "overdue mark after 199 ms, the setting is 200"),
    (late_overdue, "reply_time", "overdue mark after 301 ms, the setting is 200"),
    (no_overdue, "reply_time", "a wait of 600 ms since 105500 has no overdue mark"),
    (overdue_twice, "reply_time", "has 2 times the overdue mark"),
    (overdue_for_nothing, "reply_time", "seq 10: reply_overdue, and nobody waits"),
    (overdue_to_another, "reply_time", "reply_overdue goes to an, mo has it"),
    (not_told_of_the_overdue, "missed", "overdue 0 instead of 1"),
    (not_told_what_went, "missed", "handed_on 0 instead of 1"),
    (other_shop, "privacy", "agent an, device 1 was shown entry shop-next-door.ann"),
    (other_buyer, "privacy", "buyer ann, device 1 was shown typing shop.bea"),
    (stranger, "privacy", "presence of buyer sim-next-door"),
    (reason_told, "privacy", "seq 7: buyer ann, device 1 saw why it was transferred"),
    (desk_told, "privacy", "was shown the desk"),
    (asked_told, "privacy", "was shown asked_ms in its welcome"),
    (reminded_twice, "reminder", "is reminded of twice in one quarter"),
    (reminded_of_a_settled_one, "reminder", "is reminded of (seq 12) and does not wait"),
    (reminded_too_early, "reminder", "automatic reminder 600 ms before its deadline"),
    (refused_for_nothing, "error", "reply by the agent was answered with busy"),
    (not_said, "error", "'m1' was answered with internal"),
]


@pytest.mark.parametrize(("doctor", "kind", "what"), DOCTORS, ids=[doctor.__name__ for doctor, *_ in DOCTORS])
def test_doctored_evidence_has_that_violation(doctor, kind, what, evidence):
    found = check_busy(doctor(evidence) or evidence)
    assert [one for one in found if one.kind == kind and what in one.what], found
