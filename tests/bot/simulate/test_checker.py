"""The checker by itself: evidence that is sound, then doctored in one place."""

import copy

import pytest

from bot.simulate.checker import check
from bot.simulate.evidence import Act, Case, Evidence, Seen, Story
from bot.simulate.mix import Answer

DEADLINE = 10_000


def card(id, order_id, state, version, total):
    return {
        "proposal_id": id,
        "order_id": order_id,
        "state": state,
        "version": version,
        "deadline_ms": DEADLINE,
        "total_after_cents": total,
        "reason": None,
    }


def entry(seq, at_ms, **parts):
    return {"seq": seq, "at_ms": at_ms, **parts}


def notice(code, card_id, agent_id):
    return {"code": code, "proposal_id": card_id, "agent_id": agent_id}


def log():
    """As the agents see it: card A is agreed to, the conversation goes from mo to an, B times out, C is withdrawn."""
    return [
        entry(1, 0, conversation={"agent_id": "mo"}),
        entry(2, 1, card=card("A", "due", "pending", 1, 9000)),
        entry(3, 2, card=card("A", "due", "applying", 2, 9000)),
        entry(4, 3, card=card("A", "due", "agreed", 3, 9000), notice=notice("agreed", "A", "mo")),
        entry(5, 4, conversation={"agent_id": "an"}),
        entry(6, 5, card=card("B", "paid", "pending", 1, 3000)),
        entry(7, DEADLINE, card=card("B", "paid", "timed_out", 2, 3000), notice=notice("timed_out", "B", "an")),
        entry(8, 7, card=card("C", "paid", "pending", 1, 3000)),
        entry(9, 8, card=card("C", "paid", "withdrawn", 2, 3000)),
        entry(10, 9, card=card("D", "paid", "pending", 1, 3000)),
        entry(11, 10, card=card("D", "paid", "applying", 2, 3000)),
        entry(12, 11, card=card("D", "paid", "agreed", 3, 3000), notice=notice("agreed", "D", "an")),
    ]


def for_buyer(entries):
    return [{name: part for name, part in one.items() if name != "notice"} for one in entries]


def order(status, **lines):
    return {
        "status": status,
        "lines": [
            {"line_id": id, "sku_id": sku_id, "unit_price_cents": price, "quantity": 2 if status == "unpaid" else 1}
            for id, (sku_id, price) in lines.items()
        ],
    }


def sound():
    """Nothing to complain of: an unpaid line costs the new price (R6), a paid one what was paid (R5)."""
    gold = {"wishes": {"a": "gold"}, "prices": {"a": 4500}, "conversation_id": "shop.ann"}
    return Evidence(
        cases=[
            Case(1, "due", **gold, expect="card", expected={"a": "allowed"}, proposal_id="A", answer=Answer.AGREE),
            Case(2, "paid", **gold, raced=True, proposal_id="B", answer=Answer.IGNORE),
            Case(3, "paid", **gold, raced=True, proposal_id="C", answer=Answer.WITHDRAW),
            Case(4, "due", **gold, expect="refused", expected={"a": "same_sku"}, refusal="same_sku"),
            Case(5, "paid", **gold, expect="card", proposal_id="D", answer=Answer.AGREE),
        ],
        stories=[
            Story(
                conversation_id="shop.ann",
                since=0,
                agent_before=None,
                last_seq=12,
                read_back={"agent": log(), "buyer": for_buyer(log())},
                seen=[
                    Seen("agent mo", "agent", "mo", log()[:5]),
                    Seen("agent an", "agent", "an", log()),
                    Seen("buyer ann, device 1", "buyer", "ann", for_buyer(log())),
                    Seen("buyer ann, device 2", "buyer", "ann", for_buyer(log())),
                ],
            )
        ],
        orders_before={"due": order("unpaid", a=("white", 3000)), "paid": order("paid", a=("white", 3000))},
        orders_after={"due": order("unpaid", a=("gold", 4500)), "paid": order("paid", a=("gold", 3000))},
        complaints=[],
    )


@pytest.fixture
def evidence():
    evidence = copy.deepcopy(sound())
    agree, _, withdraw, same, second = evidence.cases
    agree.acts += [
        Act("buyer ann, device 1", "agree", 0, "ok"),
        Act("buyer ann, device 2", "agree", 0, "already_settled", "applying"),
    ]
    withdraw.acts.append(Act("agent an", "withdraw", 0, "ok"))
    same.refused_lines = {"a": "same_sku"}
    second.acts.append(Act("buyer ann, device 1", "agree", 0, "ok"))
    return evidence


def everywhere(evidence):
    """Every copy of the log that somebody has."""
    (story,) = evidence.stories
    return [*story.read_back.values(), *(seen.entries for seen in story.seen)]


def change(evidence, seq, **parts):
    """Rewrite an entry of the log for everybody."""
    for entries in everywhere(evidence):
        for one in entries:
            if one["seq"] == seq:
                one.update(copy.deepcopy(parts))


def views(evidence, who):
    return next(seen.entries for seen in evidence.stories[0].seen if seen.device == who)


def found(evidence):
    return {(violation.kind, violation.what) for violation in check(evidence)}


def test_sound_evidence_has_no_violation(evidence):
    assert check(evidence) == []


def drop_outcome(evidence):
    for entries in everywhere(evidence):
        for one in entries:
            if one["seq"] == 12:
                one.pop("card")
                one.pop("notice", None)


def second_outcome(evidence):
    change(evidence, 11, card=card("D", "paid", "rejected", 2, 3000))


def moves_on_after_its_end(evidence):
    change(evidence, 12, card=card("D", "paid", "applying", 3, 3000))
    change(evidence, 11, card=card("D", "paid", "agreed", 2, 3000))


def skips_a_version(evidence):
    change(evidence, 9, card=card("C", "paid", "withdrawn", 3, 3000))


def asked_by_nobody(evidence):
    evidence.cases.pop(1)


def not_in_the_log(evidence):
    evidence.cases[1].proposal_id = "Z"


def no_notice(evidence):
    for entries in everywhere(evidence):
        for one in entries:
            if one["seq"] == 7:
                one.pop("notice", None)


def notice_to_the_old_agent(evidence):
    evidence.stories[0].read_back["agent"][6]["notice"]["agent_id"] = "mo"


def notice_of_a_withdrawal(evidence):
    evidence.stories[0].read_back["agent"][8]["notice"] = notice("withdrawn", "C", "an")


def notice_again(evidence):
    evidence.stories[0].read_back["agent"][7]["notice"] = notice("timed_out", "B", "an")


def notice_not_received(evidence):
    views(evidence, "agent an")[6].pop("notice")


def agent_not_connected(evidence):
    evidence.stories[0].seen[:] = [seen for seen in evidence.stories[0].seen if seen.person_id != "an"]


def not_changed(evidence):
    evidence.orders_after["due"] = evidence.orders_before["due"]


def old_price_due(evidence):
    evidence.orders_after["due"]["lines"][0]["unit_price_cents"] = 3000


def difference_charged(evidence):
    evidence.orders_after["paid"]["lines"][0]["unit_price_cents"] = 4500


def other_order_changed(evidence):
    evidence.orders_before["other"] = order("paid", a=("white", 1), b=("white", 1))
    evidence.orders_after["other"] = order("paid", a=("white", 1), b=("gold", 1))


def changed_without_consent(evidence):
    evidence.cases[4].proposal_id = evidence.cases[4].answer = None
    evidence.cases[4].acts.clear()
    for entries in everywhere(evidence):
        for one in entries[9:]:
            one.pop("card")
            one.pop("notice", None)


def order_gone(evidence):
    del evidence.orders_after["paid"]


def line_gone(evidence):
    evidence.orders_after["paid"]["lines"].clear()


def wrong_price_on_the_card(evidence):
    change(evidence, 4, card=card("A", "due", "agreed", 3, 6000))


def hole_in_a_device(evidence):
    del views(evidence, "buyer ann, device 2")[4]


def double_in_a_device(evidence):
    views(evidence, "agent mo").insert(2, views(evidence, "agent mo")[1])


def hole_in_the_history(evidence):
    del evidence.stories[0].read_back["buyer"][7]


def buyer_stays_behind(evidence):
    del views(evidence, "buyer ann, device 1")[-1]


def agent_stays_behind(evidence):
    del views(evidence, "agent an")[-1]


def buyer_begins_late(evidence):
    del views(evidence, "buyer ann, device 1")[0]


def history_without_an_end(evidence):
    del evidence.stories[0].read_back["agent"][-1]


def history_differs(evidence):
    views(evidence, "buyer ann, device 2")[2]["at_ms"] += 1


def history_lacks_it(evidence):
    views(evidence, "agent an").append(entry(13, 12))


def leak(evidence):
    views(evidence, "buyer ann, device 2")[3]["notice"] = notice("agreed", "A", "mo")


def leak_in_the_history(evidence):
    evidence.stories[0].read_back["buyer"][3]["notice"] = notice("agreed", "A", "mo")


def told_otherwise(evidence):
    views(evidence, "buyer ann, device 1")[3]["card"]["state"] = "invalid"


def two_clicks_count(evidence):
    evidence.cases[0].acts[1] = Act("buyer ann, device 2", "reject", 0, "ok")


def nobody_clicked(evidence):
    evidence.cases[0].acts.clear()


def rejected_and_agreed(evidence):
    evidence.cases[0].acts[0].action = "reject"


def late_click_not_healed(evidence):
    evidence.cases[0].acts[1].shown = "pending"


def late_click_without_a_card(evidence):
    evidence.cases[0].acts[1].shown = None


def timed_out_early(evidence):
    change(evidence, 7, at_ms=DEADLINE - 1)


def agreed_at_the_deadline(evidence):
    change(evidence, 3, at_ms=DEADLINE)


def card_instead_of_refusal(evidence):
    evidence.cases[0].expect = "refused"


def refusal_instead_of_card(evidence):
    evidence.cases[3].expect = "card"


def another_line_refused(evidence):
    evidence.cases[3].wishes = {"a": "gold", "b": "gold"}
    evidence.cases[3].expected = {"a": "same_sku", "b": "off_sale"}


def another_reason(evidence):
    evidence.cases[3].expected = {"a": "off_sale"}


def agreed_and_then_invalid(evidence):
    change(evidence, 12, card=card("D", "paid", "invalid", 3, 3000), notice=notice("invalid", "D", "an"))
    evidence.orders_after["paid"] = evidence.orders_before["paid"]


def unheard_of_error(evidence):
    evidence.cases[0].acts[1].reply = "internal"


def proposal_failed(evidence):
    evidence.cases[1].errors.append("the proposal was answered with busy")


def client_complains(evidence):
    evidence.complaints.append("buyer ann: seq 5 after 3")


DOCTORS = [
    (drop_outcome, "outcome", "card D has no outcomes: pending → applying"),
    (second_outcome, "outcome", "card D has 2 outcomes: pending → rejected → agreed"),
    (moves_on_after_its_end, "outcome", "card D has 1 outcome: pending → agreed → applying"),
    (skips_a_version, "outcome", "card C has versions [1, 3]"),
    (asked_by_nobody, "outcome", "card B was asked for by nobody"),
    (not_in_the_log, "outcome", "it is not in the log"),
    (no_notice, "notice", "card B, timed_out: 0 notices of 'timed_out' instead of 1"),
    (notice_to_the_old_agent, "notice", "is addressed to mo, but an has the conversation"),
    (notice_of_a_withdrawal, "notice", "card C, withdrawn: 1 notices of 'withdrawn' instead of 0"),
    (notice_again, "notice", "card B, timed_out: 2 notices of 'timed_out' instead of 1"),
    (notice_not_received, "notice", "notice 'timed_out' (seq 7) did not reach agent an"),
    (agent_not_connected, "notice", "reached nobody: an saw nothing of this conversation"),
    (not_changed, "order", "order due, line a is ('white', 3000, 2), and should be ('gold', 4500, 2)"),
    (old_price_due, "order", "order due, line a is ('gold', 3000, 2), and should be ('gold', 4500, 2)"),
    (difference_charged, "order", "order paid, line a is ('gold', 4500, 1), and should be ('gold', 3000, 1)"),
    (other_order_changed, "order", "order other, line b is ('gold', 1, 1), and should be ('white', 1, 1)"),
    (changed_without_consent, "order", "order paid, line a is ('gold', 3000, 1), and should be ('white', 3000, 1)"),
    (order_gone, "order", "order paid is gone"),
    (line_gone, "order", "order paid, line a is gone"),
    (wrong_price_on_the_card, "order", "the card says 6000 cents, and the rules 9000"),
    (hole_in_a_device, "gap", "seen by buyer ann, device 2: after 4 came 6"),
    (double_in_a_device, "gap", "seen by agent mo: after 2 came 2"),
    (hole_in_the_history, "gap", "read back by the buyer: after 7 came 9"),
    (buyer_stays_behind, "gap", "seen by buyer ann, device 1: it ends at 11 instead of 12"),
    (agent_stays_behind, "gap", "seen by agent an: it ends at 11 instead of 12"),
    (buyer_begins_late, "gap", "seen by buyer ann, device 1: it begins at 2 instead of 1"),
    (history_without_an_end, "gap", "read back by the agent: it ends at 11 instead of 12"),
    (history_differs, "history", "seq 3, as buyer ann, device 2 saw it: at_ms differ"),
    (history_lacks_it, "history", "seq 13, as agent an saw it: it is not in the history"),
    (leak, "leak", "seq 4: buyer ann, device 2 saw notice 'agreed'"),
    (leak_in_the_history, "leak", "seq 4: the buyer, reading back saw notice 'agreed'"),
    (told_otherwise, "disagreement", "card A is agreed to agent mo, invalid to buyer ann, device 1"),
    (two_clicks_count, "cause", "agree and reject were both accepted"),
    (nobody_clicked, "cause", "it is agreed after nothing"),
    (rejected_and_agreed, "cause", "it is agreed after reject"),
    (late_click_not_healed, "cause", "late agree was answered with the card pending"),
    (late_click_without_a_card, "cause", "late agree was answered with the card None"),
    (timed_out_early, "deadline", "card B became timed_out 1 ms before its deadline"),
    (agreed_at_the_deadline, "deadline", "card A became applying 0 ms after its deadline"),
    (card_instead_of_refusal, "expect", "expected refused, got a card"),
    (refusal_instead_of_card, "expect", "expected card, got same_sku"),
    (another_line_refused, "expect", "line b was expected off_sale, got allowed"),
    (another_reason, "expect", "line a was expected off_sale, got same_sku"),
    (agreed_and_then_invalid, "expect", "the buyer agreed, and it became invalid"),
    (unheard_of_error, "error", "device 2's agree was answered with internal"),
    (proposal_failed, "error", "the proposal was answered with busy"),
    (client_complains, "protocol", "buyer ann: seq 5 after 3"),
]


@pytest.mark.parametrize(("doctor", "kind", "what"), DOCTORS, ids=[doctor.__name__ for doctor, *_ in DOCTORS])
def test_doctored_evidence_has_that_violation(doctor, kind, what, evidence):
    doctor(evidence)
    assert [one for one in found(evidence) if one[0] == kind and what in one[1]], found(evidence)


def test_stock_that_others_took_is_nobodys_fault(evidence):
    case = evidence.cases[3]
    case.raced, case.expect, case.expected = True, None, {"a": "allowed"}
    case.refusal, case.refused_lines = "out_of_stock", {"a": "out_of_stock"}
    assert check(evidence) == []


def test_a_conversation_that_began_before_is_judged_from_there_on(evidence):
    """An agent's device may have seen more of it, and the card that was open then is not ours."""
    (story,) = evidence.stories
    later = [
        Seen(seen.device, seen.audience, seen.person_id, seen.entries[4:] if seen.audience == "buyer" else seen.entries)
        for seen in story.seen
    ]
    read_back = {audience: entries[4:] for audience, entries in story.read_back.items()}
    since = Story("shop.ann", 4, "mo", 12, read_back, later)
    sliced = Evidence(
        evidence.cases[1:], [since], {"paid": evidence.orders_before["paid"]}, {"paid": evidence.orders_after["paid"]}
    )
    assert check(sliced) == []
