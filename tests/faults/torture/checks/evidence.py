"""A history and a final state, looked up once by what the checks ask for: pure.

Law: nothing is judged here. What a check needs to know of a card, a command, a conversation or a fault is found here.
"""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from cards.proposal import FINAL
from tests.faults.torture.checks.readers import Reader, read_along
from tests.faults.torture.checks.subjects import Command, Fault, Hands, Story, person_of
from tests.faults.torture.final import Final, Logged
from tests.faults.torture.history import History
from tests.faults.torture.manners import MISCHIEF
from tests.faults.torture.stores import Promise

FINAL_STATES = frozenset(state.value for state in FINAL)
CUTS_BACK = frozenset({"store_killed", "store_gone_for_long", "store_killed_ahead", "store_paused", "failover"})
"""Faults after which the end of a log, as far as nobody was promised it, may be gone."""
_LAG_MS = 2000
"""How far a replica may be behind, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What was promised, and how the gateways were set.

    Where acknowledged commands may be lost, `promised`, `one-answer`, `repeated`, `kept` and `read-mark` are silent.
    `bound`: how late an outcome may be after its deadline, or after what broke was mended.
    """

    promises: Promise
    window: timedelta
    bound: timedelta
    settles: timedelta = timedelta(seconds=5)
    """How long it may take until a client has what was written, or is missing, while nothing is broken."""
    resume_entries: int = 1000
    fresh_page: int = 50


class Evidence:
    """Everything there is to judge."""

    def __init__(self, history: History, final: Final, terms: Terms) -> None:
        self.history = history
        self.final = final
        self.terms = terms
        self.bound_ms = round(terms.bound.total_seconds() * 1000)
        self.kept = terms.promises is Promise.KEPT
        self.ended_ms = history.records[-1].wall_ms if history.records else 0
        self.hands = {id: Hands(log) for id, log in final.logs.items()}

    @cached_property
    def commands(self) -> list[Command]:
        """Every command, in the order of first sending."""
        found: dict[tuple[str, str], Command] = {}
        for record in self.history.of("sent", "answered", "gave_up", "told"):
            id = record.data["frame"].get("re") if record.kind == "told" else record.data["id"]
            if id is None:
                continue
            key = person_of(record.who), id
            if record.kind == "sent":
                found.setdefault(key, Command(record.who, id, record.data["command"], record))
            elif (command := found.get(key)) is None:
                continue
            elif record.kind == "gave_up":
                command.gave_up = record
            elif record.data["frame"].get("retry_after_ms") is None:
                command.replies.append(record)
        return list(found.values())

    @cached_property
    def copied(self) -> frozenset[str]:
        """Ids of the commands that may have been under way more than once: sent twice, or again over a new connection.

        A refusal is not kept, so that one copy may be refused, and a later one taken.
        """
        doubled = {one.data["detail"] for one in self.history.of("fault") if one.data["name"] == "doubled"}
        lost: defaultdict[str, list[float]] = defaultdict(list)
        for record in self.history.of("lost"):
            lost[record.who].append(record.at)
        again = {
            command.id
            for command in self.commands
            if command.replies
            and bisect_right(lost[command.who], command.replies[0].at)
            > bisect_right(lost[command.who], command.sent.at)
        }
        return frozenset(doubled | again)

    @cached_property
    def entries(self) -> dict[str, dict[int, Logged]]:
        """Every entry by its conversation and seq."""
        return {id: {entry.seq: entry for entry in log} for id, log in self.final.logs.items()}

    @cached_property
    def stories(self) -> dict[str, Story]:
        """Every card that is in a log."""
        found: dict[str, Story] = {}
        for conversation_id, log in self.final.logs.items():
            for entry in log:
                if card := entry.body.get("card"):
                    story = found.get(card["id"])
                    if story is None:
                        whole = log[0].seq == 1 or card["version"] == 1
                        story = found[card["id"]] = Story(card["id"], conversation_id, [], whole)
                    story.moves.append(entry)
        return found

    @cached_property
    def readers(self) -> list[Reader]:
        """Everybody who was connected, and what they were told."""
        return read_along(self.history.records)

    @cached_property
    def views(self) -> dict[tuple[str, str, str], dict[int, bytes]]:
        """By conversation, audience and locale: each entry as a fresh reader has it, by its seq."""
        return {
            (id, view.audience, view.locale): dict(view.entries)
            for id, views in self.final.views.items()
            for view in views
        }

    @cached_property
    def faults(self) -> list[Fault]:
        """Everything that was broken, by its beginning; what was never mended is broken until the end."""
        begun: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        faults = []
        for record in self.history.of("fault"):
            key = record.data["name"], record.who
            if record.data["phase"] == "begins":
                begun[key].append(record.wall_ms)
            elif begun[key]:
                faults.append(Fault(*key, begun[key].pop(0), record.wall_ms))
        faults += [Fault(*key, at_ms, self.ended_ms) for key, all_ms in begun.items() for at_ms in all_ms]
        return sorted(faults, key=lambda fault: fault.begins_ms)

    def disturbed(self, who: str, from_ms: int, to_ms: int) -> bool:
        """Whether anything that this person can feel was broken then, or was mended less than the bound before."""
        return any(
            fault.who in ("", who) and fault.begins_ms <= to_ms and fault.ends_ms + self.bound_ms >= from_ms
            for fault in self.faults
        )

    @cached_property
    def told_whose(self) -> set[tuple[str, str]]:
        """Each conversation with each agent who, as anybody was told, has had it."""
        told = set()
        for record in self.history.of("told"):
            frame = record.data["frame"]
            for part in (frame, *frame.get("entries", ())):
                if talk := part.get("conversation"):
                    told.add((talk["conversation_id"], talk["agent_id"]))
            for item in (frame, *frame.get("conversations", ())):
                if item.get("agent_id") and "conversation_id" in item:
                    told.add((item["conversation_id"], item["agent_id"]))
        return told

    @cached_property
    def quiet_ms(self) -> int:
        """From when on nobody asked for anything, and nobody was told an entry."""
        for record in reversed(self.history.records):
            if record.kind == "sent" or (record.kind == "told" and record.data["frame"]["type"] in ("entry", "reset")):
                return record.wall_ms
        return self.ended_ms

    @cached_property
    def _cuts(self) -> list[Fault]:
        return [fault for fault in self.faults if fault.name in CUTS_BACK]

    def unsure(self, at_ms: int) -> bool:
        """Whether what was written then, and waited for by nobody, may have been lost."""
        return any(fault.begins_ms - _LAG_MS <= at_ms <= fault.ends_ms for fault in self._cuts)

    def may_cut_back(self, at_ms: int) -> bool:
        """Whether by then the end of a log may have been lost."""
        return bool(self._cuts) and self._cuts[0].begins_ms <= at_ms

    @cached_property
    def _blocks(self) -> dict[bool, list[tuple[int, int]]]:
        """Stretches when the shop's side was broken again before it need have recovered: with orders, and without."""
        blocks: dict[bool, list[tuple[int, int]]] = {}
        for with_orders in (False, True):
            mine: list[tuple[int, int]] = []
            for fault in self.faults:
                if fault.who or fault.name in MISCHIEF or (fault.name.startswith("orders_") and not with_orders):
                    continue
                if mine and fault.begins_ms <= mine[-1][1] + self.bound_ms:
                    mine[-1] = mine[-1][0], max(mine[-1][1], fault.ends_ms)
                else:
                    mine.append((fault.begins_ms, fault.ends_ms))
            blocks[with_orders] = mine
        return blocks

    def settled_by(self, at_ms: int) -> int:
        """What was due until then must be done at that instant, for whoever was here."""
        latest = at_ms - self.bound_ms
        for begins, ends in reversed(self._blocks[True]):
            if begins <= latest + self.bound_ms and ends > latest:
                latest = begins - self.bound_ms - 1
        return latest

    def recovered_ms(self, at_ms: int, *, orders: bool = False) -> int:
        """By when what was due at that instant must be done; `orders`: that needs the order system."""
        for begins, ends in self._blocks[orders]:
            if begins <= at_ms + self.bound_ms and ends > at_ms:
                return ends + self.bound_ms
        return at_ms + self.bound_ms
