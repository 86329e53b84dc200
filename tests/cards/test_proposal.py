"""What a proposal remembers, how it moves (R7 to R11), who is told, and how it is written down."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cards.errors import AlreadySettled, OldVersion, TooEarly
from cards.model import Model, from_ms
from cards.proposal import (
    FINAL,
    REASONS,
    TRANSITIONS,
    Action,
    Proposal,
    ProposedLine,
    State,
    notice_of,
    settle,
    why_moved,
)

MS = timedelta(milliseconds=1)


@pytest.fixture
def card(ask):
    return ask({"1": "white-xl"})


def test_a_proposal_remembers_what_it_was_made_on(ask, order, now):
    card = ask({"1": "white-xl", "2": "mug-gold"}, order(status="unpaid"))
    assert (card.id, card.conversation_id, card.shop_id, card.buyer_id) == ("p1", "yi.mei", "yi", "mei")
    assert (card.agent_id, card.order_id, card.order_version, card.currency) == ("lin", "o1", 7, "CNY")
    assert (card.state, card.version, card.settled, card.answered) == (State.PENDING, 1, None, None)
    assert (card.created, card.deadline) == (now, now + timedelta(hours=2))
    assert [line.line_id for line in card.lines] == ["1", "2"]
    assert card.lines[0] == ProposedLine(
        line_id="1",
        product_id="shirt",
        title="纯棉衬衫",
        quantity=2,
        from_sku="white-m",
        from_spec={"颜色": "白色", "尺码": "M"},
        to_sku="white-xl",
        to_spec={"颜色": "白色", "尺码": "XL"},
        unit_price_before_cents=10_000,
        unit_price_after_cents=10_000,
    )


def test_the_deadline_can_be_given(ask, now):
    assert ask({"1": "white-xl"}, deadline=now + MS).deadline == now + MS


def test_a_line_whose_sku_of_today_was_removed_can_still_change(ask, order):
    lines = [order().lines[0].model_copy(update={"sku_id": "removed"})]
    assert ask({"1": "white-xl"}, order(lines=lines)).lines[0].from_spec == {}


def test_the_final_states():
    assert {State.AGREED, State.REJECTED, State.TIMED_OUT, State.INVALID, State.WITHDRAWN} == FINAL
    assert set(TRANSITIONS) == set(State)


def test_consent_is_kept_before_the_order_system_is_asked(card, now):
    applying = settle(card, Action.AGREE, now=now + MS, version=1)
    assert (applying.state, applying.version) == (State.APPLYING, 2)
    assert (applying.answered, applying.settled) == (now + MS, None)
    agreed = settle(applying, Action.TAKEN, now=now + 2 * MS)
    assert (agreed.state, agreed.version) == (State.AGREED, 3)
    assert (agreed.answered, agreed.settled) == (now + MS, now + 2 * MS)


def test_an_order_system_that_refuses_makes_it_invalid_with_its_reason(card, now):
    applying = settle(card, Action.AGREE, now=now)
    refused = settle(applying, Action.REFUSED, now=now + MS, reason="stock_gone")
    assert (refused.state, refused.reason, refused.settled) == (State.INVALID, "stock_gone", now + MS)


def test_a_no_keeps_the_buyers_words(card, now):
    rejected = settle(card, Action.REJECT, now=now + MS, version=1, comment="我要白色的")
    assert (rejected.state, rejected.comment) == (State.REJECTED, "我要白色的")
    assert rejected.answered == rejected.settled == now + MS


@pytest.mark.parametrize(("action", "state"), [(Action.WITHDRAW, State.WITHDRAWN), (Action.INVALIDATE, State.INVALID)])
def test_others_can_end_the_waiting_but_that_is_no_answer(card, now, action, state):
    over = settle(card, action, now=now + MS, reason="order_shipped")
    assert (over.state, over.settled, over.answered) == (state, now + MS, None)
    assert over.reason == ("order_shipped" if state is State.INVALID else None)


@pytest.mark.parametrize("action", TRANSITIONS[State.PENDING])
def test_one_millisecond_before_the_deadline_things_happen_as_asked(card, action):  # R10
    if action is Action.EXPIRE:
        with pytest.raises(TooEarly) as raised:
            settle(card, action, now=card.deadline - MS)
        assert raised.value.deadline == card.deadline
    else:
        assert settle(card, action, now=card.deadline - MS).state is TRANSITIONS[State.PENDING][action]


@pytest.mark.parametrize("late", [timedelta(0), MS, timedelta(days=1)])
@pytest.mark.parametrize("action", TRANSITIONS[State.PENDING])
@pytest.mark.parametrize("version", [None, 1, 99])
def test_at_the_deadline_whatever_comes_finds_it_timed_out(card, action, late, version):  # R10
    over = settle(card, action, now=card.deadline + late, version=version, reason="order_paid", comment="好")
    assert (over.state, over.version, over.settled) == (State.TIMED_OUT, 2, card.deadline + late)
    assert (over.answered, over.reason, over.comment) == (None, None, None)


@pytest.mark.parametrize("action", [Action.REJECT, Action.WITHDRAW, Action.EXPIRE, Action.INVALIDATE, Action.AGREE])
def test_consent_in_time_is_not_lost_to_anything_later(card, action):
    applying = settle(card, Action.AGREE, now=card.deadline - MS)
    with pytest.raises(AlreadySettled):
        settle(applying, action, now=card.deadline + timedelta(days=3))
    assert settle(applying, Action.TAKEN, now=card.deadline + timedelta(days=3)).state is State.AGREED


@pytest.mark.parametrize("version", [None, 1, 2, 99])
@pytest.mark.parametrize("action", Action)
def test_what_is_settled_is_said_before_what_is_old(card, now, action, version):  # R11
    rejected = settle(card, Action.REJECT, now=now)
    with pytest.raises(AlreadySettled) as raised:
        settle(rejected, action, now=card.deadline, version=version)
    assert (raised.value.proposal, raised.value.code) == (rejected, "already_settled")


def test_an_old_screen_is_told_so_while_it_still_waits(card, now):
    with pytest.raises(OldVersion) as raised:
        settle(card, Action.AGREE, now=now, version=2)
    assert (raised.value.proposal, raised.value.code) == (card, "old_version")


def test_that_it_takes_longer_is_told_once(card, now):
    applying = settle(card, Action.AGREE, now=now)
    told = settle(applying, Action.DELAYED, now=now + MS)
    assert (told.state, told.version, told.delay_told, told.settled) == (State.APPLYING, 3, True, None)
    assert notice_of(applying, told) == "delayed"
    with pytest.raises(AlreadySettled):
        settle(told, Action.DELAYED, now=now + MS)
    assert notice_of(told, settle(told, Action.TAKEN, now=now + MS)) == "agreed"


def test_which_moves_the_agent_is_told_of(card, now):  # R9
    applying = settle(card, Action.AGREE, now=now)
    told = {
        "agree": notice_of(card, applying),
        "taken": notice_of(applying, settle(applying, Action.TAKEN, now=now)),
        "refused": notice_of(applying, settle(applying, Action.REFUSED, now=now, reason="stock_gone")),
        "reject": notice_of(card, settle(card, Action.REJECT, now=now)),
        "withdraw": notice_of(card, settle(card, Action.WITHDRAW, now=now)),
        "invalidate": notice_of(card, settle(card, Action.INVALIDATE, now=now, reason="order_paid")),
        "expire": notice_of(card, settle(card, Action.EXPIRE, now=card.deadline)),
    }
    assert told == {
        "agree": None,
        "taken": "agreed",
        "refused": "invalid",
        "reject": "rejected",
        "withdraw": None,
        "invalidate": "invalid",
        "expire": "timed_out",
    }


@pytest.mark.parametrize(
    ("before", "different", "reason"),
    [
        ("unpaid", {"status": "paid"}, "order_paid"),
        ("paid", {"status": "shipped"}, "order_shipped"),
        ("paid", {"status": "completed"}, "order_completed"),
        ("paid", {"status": "closed", "after_sale": "done"}, "order_closed"),
        ("paid", {"after_sale": "open"}, "after_sale_opened"),
        ("unpaid", {"status": "paid", "after_sale": "open"}, "after_sale_opened"),
        ("paid", {"deposit_presale": True}, "deposit_presale"),
        ("paid", {"status": "unpaid"}, "order_moved"),
        ("paid", {}, "order_moved"),
    ],
)
def test_why_an_order_is_no_longer_what_the_card_was_made_on(ask, order, before, different, reason):
    card = ask({"1": "white-xl"}, order(status=before))
    read = {"status": before, **different}
    assert why_moved(card, order(**read, version=8)) == reason
    assert reason in REASONS
    assert why_moved(card, order(**read)) is None


@pytest.mark.parametrize("line_id", ["1", "2"])
@pytest.mark.parametrize("different", [{"quantity": 5}, {"unit_price_cents": 9_999}, None])
def test_lines_that_changed_elsewhere(card, order, line_id, different):
    lines = [line for line in order().lines if line.id != line_id or different]
    lines = [line.model_copy(update=different) if line.id == line_id else line for line in lines]
    assert why_moved(card, order(lines=lines, version=8)) == "lines_changed"


def test_another_sku_on_the_asked_line_is_a_changed_line(card, order):
    first, *others = order().lines
    moved = [first.model_copy(update={"sku_id": "white-xl"}), *others]
    assert why_moved(card, order(lines=moved, version=8)) == "lines_changed"


since_2000 = st.timedeltas(timedelta(0), timedelta(days=200 * 365))
texts = st.text(st.characters(codec="utf-8"), max_size=20)


@given(age=since_2000, window=st.timedeltas(timedelta(0), timedelta(days=30)), comment=texts | st.none(), paid=...)
def test_what_is_written_down_is_read_again_unchanged(ask, order, age, window, comment, paid: bool):
    now = datetime(2000, 1, 1, tzinfo=UTC) + age
    card = ask(
        {"1": "black-m"},
        order(status="paid" if paid else "unpaid"),
        waive_difference=True,
        now=now,
        window=window + MS,
    )
    over = settle(card, Action.REJECT, now=card.created, comment=comment)
    consent = settle(card, Action.AGREE, now=card.created)
    for proposal in (card, over, consent, settle(consent, Action.DELAYED, now=now)):
        assert Proposal.model_validate_json(proposal.model_dump_json()) == proposal
        assert Proposal.model_validate(proposal.model_dump()) == proposal


def test_instants_are_milliseconds_in_json_also_inside_another_document(card):
    class Document(Model):
        card: Proposal

    written = Document(card=card).model_dump(mode="json")["card"]
    assert from_ms(written["created_ms"]) == card.created
    assert from_ms(written["deadline_ms"]) == card.deadline
    assert (written["answered_ms"], written["settled_ms"]) == (None, None)
    assert not {"created", "deadline", "answered", "settled"} & written.keys()
    short = Document(card=card).model_dump_json(exclude_defaults=True)
    assert Document.model_validate_json(short).card == card
