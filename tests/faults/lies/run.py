"""A copy of the honest run to tell lies in, and what a lie is: told everywhere at once, or in one place only."""

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson

from tests.faults.lies.honest import CHEN, LIN, WINDOW, Frame
from tests.faults.torture.checker import Terms, check
from tests.faults.torture.final import Final, Logged, View, canonical
from tests.faults.torture.history import History, Kind, Record
from tests.faults.torture.stores import Promise

TERMS = Terms(promises=Promise.KEPT, window=WINDOW, bound=timedelta(seconds=5), settles=timedelta())


class Run:
    """A copy of the run, to lie in."""

    def __init__(self, folder: Path) -> None:
        self.history = History.load(folder / "history.jsonl")
        self.final: Final = pickle.loads((folder / "final.pickle").read_bytes())
        self.records = self.history.records

    def red(self, terms: Terms = TERMS) -> set[str]:
        """The checks that find something."""
        return {violation.kind for violation in check(self.history, self.final, terms)}

    def find(self, kind: Kind, who: str = "", **members: Any) -> list[Record]:
        """The records of that kind whose frame or command has these members."""
        return [
            record
            for record in self.history.of(kind)
            if who in ("", record.who)
            and members.items() <= (record.data.get("frame") or record.data.get("command") or record.data).items()
        ]

    def card(self, state: str) -> Frame:
        """The document of the first card that ended so."""
        return next(card for card in self.final.proposals.values() if card["state"] == state)

    def logged(self, state: str) -> Logged:
        """The entry in which the first card became that."""
        return next(
            entry
            for log in (self.final.logs[LIN], self.final.logs[CHEN])
            for entry in log
            if entry.body.get("card", {}).get("state") == state
        )

    def said(self, text: str) -> Logged:
        """The entry of a message."""
        return next(entry for log in self.final.logs.values() for entry in log if entry.body.get("text") == text)

    def frames(self, entry: Logged) -> Iterator[Frame]:
        """Every frame or part of one in which somebody was told of an entry."""
        for record in self.history.of("told", "answered"):
            frame = record.data["frame"]
            for part in (frame, *frame.get("entries", ())):
                if part.get("seq") == entry.seq and part.get("at_ms") == entry.at_ms:
                    yield part

    def place(self, entry: Logged) -> str:
        """The conversation it is in."""
        return next(id for id, log in self.final.logs.items() if entry in log)

    def rewrite(
        self, entry: Logged, stored: Callable[[Frame], object], shown: Callable[[Frame], object], **new: Any
    ) -> None:
        """Tell the same lie everywhere: in the log, to everybody live, and to whoever reads it back."""
        id = self.place(entry)
        told = [*self.frames(entry)]
        stored(entry.body)
        self.final.logs[id][self.final.logs[id].index(entry)] = replace(entry, **new)
        for frame in told:
            shown(frame)
            frame.update(new)
        self.final.views[id] = [self._viewed(view, entry.seq, shown, new) for view in self.final.views[id]]

    @staticmethod
    def _viewed(view: View, seq: int, shown: Callable[[Frame], object], new: Frame) -> View:
        entries = []
        for number, text in view.entries:
            frame = orjson.loads(text)
            if number == seq:
                shown(frame)
                frame.update(new)
            entries.append((number, canonical(frame)))
        return replace(view, entries=entries)

    def insert(self, after: Record, kind: Kind, who: str, **data: Any) -> None:
        """A record that never was, right after another one."""
        at = self.records.index(after)
        self.records.insert(at + 1, replace(after, kind=kind, who=who, data=data))

    def broken(self, name: str, begins: Record, ends: Record) -> None:
        """Something was broken from that record to that one."""
        self.insert(begins, "fault", "", name=name, phase="begins", detail="")
        self.insert(ends, "fault", "", name=name, phase="ends", detail="")


@dataclass(frozen=True)
class Lie:
    """Which check it is about, which others may rightly object to it, and how it is told."""

    about: str
    others: frozenset[str]
    tell: Callable[[Run], object]

    @property
    def name(self) -> str:
        """What is claimed."""
        return self.tell.__name__


def lie(about: str, *others: str) -> Callable[[Callable[[Run], object]], Lie]:
    """The function tells a lie that is about this check; `others` may rightly object to it."""
    return lambda tell: Lie(about, frozenset(others), tell)
