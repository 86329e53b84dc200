"""What each client was told of each conversation, frame by frame: pure.

Law: a client is told every entry after the one it began with, once and in order, over however many connections. A
`reset` begins anew: what it repeats counts as told by it, and what it takes back was never true.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.faults.torture.checks.subjects import person_of
from tests.faults.torture.final import canonical
from tests.faults.torture.history import Record

Frame = dict[str, Any]


class Reset(NamedTuple):
    """A fresh page, the cursor before it (None: the conversation was new), and the seqs that it took back."""

    at_ms: int
    page: Frame
    cursor: int | None
    took_back: list[int]


@dataclass(slots=True)
class Seen:
    """What one client was told of one conversation: entries, each with the language it was told in."""

    cursor: int | None = None
    entries: dict[int, tuple[str, Frame]] = field(default_factory=dict)
    superseded: list[tuple[int, str, Frame]] = field(default_factory=list)
    """What was told before a page that did not continue it."""
    resets: list[Reset] = field(default_factory=list)
    holes: list[str] = field(default_factory=list)
    missing: list[range] = field(default_factory=list)
    """The seqs in those holes."""

    def passed(self, seq: int) -> bool:
        """Whether it was told of that entry, or began after it."""
        return self.cursor is not None and seq <= self.cursor and not any(seq in hole for hole in self.missing)

    def entry(self, frame: Frame, locale: str) -> None:
        """The next entry, or so it should be."""
        seq = frame["seq"]
        if self.cursor is None:
            self.holes.append(f"seq {seq} of a conversation that it knew nothing of")
        elif seq <= self.cursor:
            self.holes.append(f"seq {seq} again, after {self.cursor}")
        elif seq > self.cursor + 1:
            self.holes.append(f"seq {seq} after {self.cursor}")
            self.missing.append(range(self.cursor + 1, seq))
        self.cursor = seq
        self.entries[seq] = locale, frame

    def reset(self, page: Frame, locale: str, at_ms: int) -> None:
        """A page instead of what is missing."""
        entries = {entry["seq"]: (locale, entry) for entry in page["entries"]}
        last = page["last_seq"]
        first = min(entries, default=last + 1)
        took_back = [
            seq
            for seq, (told_in, told) in self.entries.items()
            if seq > last or (seq in entries and told_in == locale and canonical(told) != canonical(entries[seq][1]))
        ]
        self.resets.append(Reset(at_ms, page, self.cursor, took_back))
        # A log is only ever cut at its end: before an entry that both have, they have the same.
        in_common = any(seq in entries and seq not in took_back for seq in self.entries)
        goes_on = self.cursor is not None and first <= self.cursor + 1 and not took_back and last >= self.cursor
        if not (in_common or goes_on):
            self.superseded += [(seq, *told) for seq, told in self.entries.items() if seq < first]
            self.entries.clear()
        for seq in took_back:
            self.entries.pop(seq, None)
        self.entries.update(entries)
        self.cursor = last


@dataclass(slots=True)
class Reader:
    """One client, `who` as the history has it; when it was connected last, and (None: never) lost that connection."""

    who: str
    seen: defaultdict[str, Seen] = field(default_factory=lambda: defaultdict(Seen))
    items: list[tuple[int, Frame]] = field(default_factory=list)
    """Every item of a list that it was shown, and when."""
    connected_ms: int = 0
    lost_ms: int | None = None
    locale: str = "zh-CN"
    locales: set[str] = field(default_factory=lambda: {"zh-CN"})
    """All that it has asked for."""

    @property
    def role(self) -> str:
        """`agent`, `buyer` …"""
        return self.who.partition(" ")[0]

    @property
    def person_id(self) -> str:
        """Their id."""
        return person_of(self.who).partition(" ")[2]

    def take(self, record: Record) -> None:
        """The next thing that it was told, or that happened to its connection."""
        match record.kind:
            case "lost":
                self.lost_ms = record.wall_ms
            case "connected":
                self.connected_ms, self.lost_ms = record.wall_ms, None
                self.locale = record.data.get("locale", self.locale)
                self.locales.add(self.locale)
                if (cursors := record.data.get("cursors")) is not None:
                    self._resumes(cursors)
            case "told":
                self._told(record, record.data["frame"])

    def _resumes(self, cursors: dict[str, int]) -> None:
        """It comes again and says how far it is. A client that is new here, or has forgotten something, begins anew."""
        for id, seen in self.seen.items():
            if id not in cursors:
                seen.cursor = None
            elif seen.cursor is not None and seen.cursor != cursors[id]:
                seen.holes.append(f"it was told up to seq {seen.cursor}, and says {cursors[id]}")
                seen.missing.append(range(seen.cursor + 1, cursors[id] + 1))
        for id, cursor in cursors.items():
            self.seen[id].cursor = cursor

    def _told(self, record: Record, frame: Frame) -> None:
        match frame["type"]:
            case "entry":
                self.seen[frame["conversation_id"]].entry(frame, self.locale)
            case "reset":
                self.seen[frame["conversation_id"]].reset(frame, self.locale, record.wall_ms)
                self.items.append((record.wall_ms, frame["conversation"]))
            case "conversation":
                self.items.append((record.wall_ms, frame))
            case "welcome":
                self._welcomed(record, frame)

    def _welcomed(self, record: Record, frame: Frame) -> None:
        for item in frame["conversations"]:
            self._begins(item["conversation_id"], item["seq"])
        who = frame["participant"]
        if who["role"] == "buyer":
            self._begins(f"{who['shop_id']}.{who['id']}", 0)
        self.items += [(record.wall_ms, item) for item in (*frame["conversations"], *frame["waiting"])]

    def _begins(self, conversation_id: str, seq: int) -> None:
        seen = self.seen[conversation_id]
        if seen.cursor is None:
            seen.cursor = seq


def read_along(records: Iterable[Record]) -> list[Reader]:
    """Every client of the history, with all that it was told."""
    readers: dict[str, Reader] = {}
    for record in records:
        if record.kind in ("told", "connected", "lost"):
            if (reader := readers.get(record.who)) is None:
                reader = readers[record.who] = Reader(record.who)
            reader.take(record)
    return list(readers.values())
