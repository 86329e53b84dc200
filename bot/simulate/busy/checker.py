"""What must hold after a busy shop, whatever people did: what must hold of its cards, and of everything around them."""

from collections.abc import Callable, Iterator, Sequence

from bot.simulate.busy.checks.absences import missed
from bot.simulate.busy.checks.assignment import given, kept, returned, waiting
from bot.simulate.busy.checks.hands import counts, documents, ends, limits
from bot.simulate.busy.checks.marks import lists, read_so_far, reads, unread
from bot.simulate.busy.checks.messages import messages
from bot.simulate.busy.checks.privacy import privacy
from bot.simulate.busy.checks.reminders import reminders
from bot.simulate.busy.checks.reply_times import reply_times
from bot.simulate.busy.evidence import BusyEvidence
from bot.simulate.checker import Violation, check

REFUSED = {
    "close": {"open_cards", "unseen_message"},
    "remind": {"already_settled", "reminded_already"},
    "transfer": {"agent_full", "transfer_to_self"},
    "open": {"conversation_taken", "too_many_open"},
}
"""With what a command may be refused, by the rules."""


def check_busy(evidence: BusyEvidence) -> list[Violation]:
    """Every violation there is."""
    found = [Violation(kind, what) for kind, find in BUSY_CHECKS for what in find(evidence)]
    return [*check(evidence.cards), *found]


def errors(evidence: BusyEvidence) -> Iterator[str]:
    """No command fails but for a reason that the rules give."""
    yield from evidence.errors
    for said in evidence.said:
        if said.reply != "ok":
            yield f"{said.conversation_id}: {said.text!r} was answered with {said.reply}"
    for deed in evidence.deeds:
        if deed.reply != "ok" and deed.reply not in REFUSED.get(deed.what, ()):
            yield f"{deed.conversation_id}: {deed.what} by {deed.who} was answered with {deed.reply}"


BUSY_CHECKS: Sequence[tuple[str, Callable[[BusyEvidence], Iterator[str]]]] = (
    ("message", messages),
    ("hands", ends),
    ("hands", documents),
    ("count", counts),
    ("limit", limits),
    ("given", given),
    ("waiting", waiting),
    ("returned", returned),
    ("kept", kept),
    ("read", reads),
    ("read", read_so_far),
    ("unread", unread),
    ("list", lists),
    ("reply_time", reply_times),
    ("missed", missed),
    ("privacy", privacy),
    ("reminder", reminders),
    ("error", errors),
)
