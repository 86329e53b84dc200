"""The quarters of a card's time: in each of them the buyer can be reminded once."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cards.proposal import Proposal, quarter, quarter_end
from tests.proposals import a_proposal

START = datetime(2030, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)


def waiting(window_ms: int) -> Proposal:
    """A proposal that waits for so long."""
    return a_proposal(created=START, deadline=START + window_ms * MS)


windows = st.integers(4, 3 * 24 * 3600 * 1000)


def test_of_two_hours_each_is_half_an_hour() -> None:
    proposal = waiting(2 * 3600 * 1000)
    half_hour = timedelta(minutes=30)
    for number in range(4):
        assert quarter(proposal, START + number * half_hour) == number
        assert quarter(proposal, START + (number + 1) * half_hour - MS) == number
    assert [quarter_end(proposal, number) for number in range(4)] == [
        *(START + (number + 1) * half_hour for number in range(3)),
        None,
    ]


@given(windows, st.data())
def test_an_instant_is_in_one_quarter_and_the_next_begins_where_it_ends(window_ms: int, data: st.DataObject) -> None:
    proposal = waiting(window_ms)
    now = START + data.draw(st.integers(0, window_ms - 1)) * MS
    number = quarter(proposal, now)
    assert 0 <= number <= 3
    begins = START if number == 0 else quarter_end(proposal, number - 1)
    ends = quarter_end(proposal, number) or proposal.deadline
    assert begins is not None
    assert begins <= now < ends
    if number < 3:
        assert quarter(proposal, ends) == number + 1


@given(windows, st.lists(st.integers(0, 3 * 24 * 3600 * 1000), max_size=40))
def test_time_goes_through_them_in_order_and_four_reminders_are_the_most(window_ms: int, instants: list[int]) -> None:
    """Reminded at every instant where that is allowed: in each quarter at most once."""
    proposal = waiting(window_ms)
    reminded: int | None = None
    reminders: list[int] = []
    for instant in sorted(instants):
        if instant < window_ms and quarter(proposal, START + instant * MS) != reminded:
            reminded = quarter(proposal, START + instant * MS)
            reminders.append(reminded)
    assert reminders == sorted(set(reminders))
    assert len(reminders) <= 4


def test_a_clock_that_went_back_or_on_is_in_the_first_or_last() -> None:
    proposal = waiting(1000)
    assert quarter(proposal, START - timedelta(minutes=1)) == 0
    assert quarter(proposal, proposal.deadline + timedelta(minutes=1)) == 3
