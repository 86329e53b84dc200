"""What a busy shop came to, in figures."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bot.simulate.busy.checks.absences import judged_absences
from bot.simulate.busy.checks.assignment import judged_returns
from bot.simulate.busy.evidence import BusyEvidence
from bot.simulate.checker import Violation
from bot.simulate.evidence import FINAL_STATES
from bot.simulate.report import Figures, card_figures
from bot.simulate.sightings import Sightings


@dataclass(frozen=True, slots=True, kw_only=True)
class BusyReport(Figures):
    """Devices and connections; what was said and done; how the cards ended; and what could be judged exactly:
    `returns_judged` of `reopened`, `absences_judged` of the welcomes after an absence.
    """

    buyers: int
    agents: int
    devices: int
    connections: int
    seconds: float
    messages: int
    replies: int
    assigned: int
    waited: int
    reassigned: int
    transfers: int
    closed: int
    reopened: int
    returns_judged: int
    absences: int
    absences_judged: int
    gateways_killed: int
    reads: int
    typing_shown: int
    reminders: int
    cards: int
    refused: int
    agreed: int
    rejected: int
    timed_out: int
    invalid: int
    withdrawn: int
    notices: int
    warned: int
    overdue: int
    messages_per_s: float
    click_to_notice_ms: dict[str, float | None]


def make_busy_report(
    evidence: BusyEvidence, violations: Sequence[Violation], sightings: Sightings, seconds: float
) -> BusyReport:
    """The figures, counted from the logs."""
    entries = [entry for story in evidence.cards.stories for entry in story.read_back["agent"]]
    system = Counter(entry["system"]["code"] for entry in entries if "system" in entry)
    notices = Counter(entry["notice"]["code"] for entry in entries if "notice" in entry)
    said = Counter(entry["text"]["by"]["role"] for entry in entries if "text" in entry)
    moves = [entry["conversation"] for entry in entries if "conversation" in entry]
    done = Counter(deed.what for deed in evidence.deeds if deed.reply == "ok")
    connections = [one for book in evidence.notebooks for one in book.connections]
    return BusyReport(
        buyers=len(evidence.documents),
        agents=len(evidence.shifts),
        devices=len(evidence.notebooks),
        connections=len(connections),
        seconds=round(seconds, 1),
        messages=said["buyer"],
        replies=said["agent"],
        assigned=system["assigned"] + system["opened"],
        waited=sum(move["open"] and move["agent_id"] is None for move in moves),
        reassigned=system["reassigned"] + system["returned"],
        transfers=system["transferred"] + system["transferred_because"],
        closed=system["closed"],
        reopened=_reopened(evidence),
        returns_judged=len(judged_returns(evidence)),
        absences=sum(len(shift.away) for shift in evidence.shifts.values()),
        absences_judged=len(judged_absences(evidence)),
        gateways_killed=len(evidence.killed),
        reads=done["read"],
        typing_shown=sum(book.typing for book in evidence.notebooks),
        reminders=system["reminded"] + system["near_deadline"],
        **card_figures(evidence.cards, sightings),
        notices=sum(notices[state] for state in FINAL_STATES),
        warned=notices["reply_warning"],
        overdue=notices["reply_overdue"],
        messages_per_s=round((said["buyer"] + said["agent"]) / seconds, 1) if seconds else 0.0,
        violations=violations,
    )


def _reopened(evidence: BusyEvidence) -> int:
    count = 0
    for story in evidence.cards.stories:
        was_open = True
        for entry in story.read_back["agent"]:
            if "conversation" in entry:
                count += entry["conversation"]["open"] and not was_open
                was_open = entry["conversation"]["open"]
    return count
