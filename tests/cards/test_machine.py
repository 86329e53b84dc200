"""Every state by every action in any order, against the law in a few sentences: one outcome, ever (R10, R11).

Seen to fail with the check of the deadline, of the version, or of the final states taken out of `settle`.
"""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cards.errors import AlreadySettled, OldVersion, TooEarly
from cards.proposal import FINAL, Action, notice_of, settle
from tests.proposals import a_proposal

START = datetime(2026, 3, 1, tzinfo=UTC)
WINDOW_MS = 5
ENDS = {
    "reject": "rejected",
    "withdraw": "withdrawn",
    "invalidate": "invalid",
    "expire": "timed_out",
    "taken": "agreed",
    "refused": "invalid",
}


class Negotiation(RuleBasedStateMachine):
    """People, timers, the order and the order system, all at once."""

    @initialize()
    def proposed(self) -> None:
        self.elapsed_ms = 0
        self.proposal = a_proposal(created=START, deadline=START + timedelta(milliseconds=WINDOW_MS))
        self.consented = False
        self.outcome = None
        self.moves = 0
        self.told = []
        self.seen = []

    def expected(self, action: str, stale: bool) -> str | type[Exception]:
        """The next state, or what is raised, in the words of the design."""
        waiting = not self.consented and self.outcome is None
        if waiting and action in ("agree", "reject", "withdraw", "invalidate", "expire"):
            if self.elapsed_ms >= WINDOW_MS:
                return "timed_out"
            if action == "expire":
                return TooEarly
            if stale:
                return OldVersion
            return ENDS.get(action, "applying")
        if self.consented and self.outcome is None and action in ("taken", "refused", "delayed"):
            if action == "delayed" and "delayed" in self.told:
                return AlreadySettled
            if stale:
                return OldVersion
            return ENDS.get(action, "applying")
        return AlreadySettled

    @rule(ms=st.integers(1, 3))
    def time_passes(self, ms: int) -> None:
        self.elapsed_ms += ms

    @rule(action=st.sampled_from(Action), version=st.sampled_from(["none", "today's", "old", "invented"]))
    def something_happens(self, action: Action, version: str) -> None:
        today = self.proposal.version
        named = {"none": None, "today's": today, "old": today - 1, "invented": today + 1}[version]
        expected = self.expected(action.value, version in ("old", "invented"))
        before = self.proposal
        now = START + timedelta(milliseconds=self.elapsed_ms)
        if isinstance(expected, type):
            with pytest.raises(expected) as raised:
                settle(before, action, now=now, version=named)
            assert getattr(raised.value, "proposal", before) is before
            return
        after = settle(before, action, now=now, version=named, reason="order_moved")
        assert after.state == expected
        self.proposal = after
        self.moves += 1
        self.told += [notice for notice in [notice_of(before, after)] if notice]
        if after.state in FINAL:
            self.outcome = after.state
            self.seen.append(after.state)
        self.consented = self.consented or after.state == "applying"

    @invariant()
    def there_is_one_outcome_at_most(self) -> None:
        assert len(self.seen) <= 1
        assert (self.proposal.settled is not None) == bool(self.seen)
        assert self.proposal.state == (self.seen[0] if self.seen else "applying" if self.consented else "pending")

    @invariant()
    def every_move_is_a_version(self) -> None:
        assert self.proposal.version == 1 + self.moves

    @invariant()
    def the_agent_is_told_the_outcome_once(self) -> None:
        outcomes = [notice for notice in self.told if notice != "delayed"]
        assert outcomes == [state.value for state in self.seen if state != "withdrawn"]
        assert self.told.count("delayed") <= 1

    @invariant()
    def consent_can_only_be_taken_or_refused(self) -> None:
        if self.consented and self.seen:
            assert self.seen[0] in ("agreed", "invalid")
        assert (self.proposal.answered is not None) == (self.consented or "rejected" in self.seen)


TestNegotiation = Negotiation.TestCase
TestNegotiation.settings = settings(max_examples=300, stateful_step_count=12, deadline=None)
