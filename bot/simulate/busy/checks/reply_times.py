"""How long buyers waited for a reply: whoever waited too long was marked, nobody else, once each, and in time."""

from collections.abc import Iterator

from bot.simulate.busy.evidence import BusyEvidence
from bot.simulate.busy.replay import Wait, waits
from bot.simulate.evidence import Entry, Story

LEASE_MS = 10_000
"""How long a timer that a killed gateway had claimed stays claimed."""


def reply_times(evidence: BusyEvidence) -> Iterator[str]:
    """Overdue exactly where the reply took longer than the setting; a warning before; each to the current agent."""
    for story in evidence.cards.stories:
        found, strays = waits(story)
        for entry in strays:
            yield f"{story.conversation_id}, seq {entry['seq']}: {entry['notice']['code']}, and nobody waits"
        for wait in found:
            yield from _judge(evidence, wait)
            for entry in (*wait.warnings, *wait.overdue):
                yield from _addressed(story, entry)


def _judge(evidence: BusyEvidence, wait: Wait) -> Iterator[str]:
    limits = evidence.limits
    late_ms = limits.late_ms + (LEASE_MS if evidence.killed else 0)
    waited_ms = (wait.until_ms or evidence.ended_ms) - wait.since_ms
    what = f"{wait.conversation_id}: a wait of {waited_ms} ms since {wait.since_ms}"
    for name, due_ms, told in (
        ("warning", limits.warning_ms, wait.warnings),
        ("overdue mark", limits.overdue_ms, wait.overdue),
    ):
        if len(told) > 1:
            yield f"{what} has {len(told)} times the {name}"
        for entry in told:
            after_ms = entry["at_ms"] - wait.since_ms
            if not due_ms <= after_ms <= due_ms + late_ms:
                yield f"{what} has its {name} after {after_ms} ms, the setting is {due_ms}"
            if int(entry["notice"]["asked_ms"]) != wait.since_ms:
                yield f"{what} has a {name} that says since {entry['notice']['asked_ms']}"
    if not wait.overdue and waited_ms > limits.overdue_ms + late_ms:
        yield f"{what} has no overdue mark"
    if not wait.overdue and not wait.warnings and waited_ms > limits.warning_ms + late_ms:
        yield f"{what} has no warning"


def _addressed(story: Story, entry: Entry) -> Iterator[str]:
    agent, to = story.agent_at(entry["seq"]), entry["notice"]["agent_id"]
    if agent != to:
        yield f"{story.conversation_id}, seq {entry['seq']}: {entry['notice']['code']} goes to {to}, {agent} has it"
