"""Lies about logs: their entries, the documents beside them, and what is read back."""

from dataclasses import replace

from tests.faults.lies.honest import LIN
from tests.faults.lies.run import Run, lie


@lie("gap")
def more_is_counted_than_there_is(run: Run) -> None:
    run.final.marks[LIN]["seq"] = "1000"


@lie(
    "gap",
    "view",
    "outcome",
    "one-open",
    "notice",
    "effect",
    "kept",
    "told",
    "complete",
    "item",
    "mark",
    "conflict",
    "document",
)
def an_entry_is_gone(run: Run) -> None:
    del run.final.logs[LIN][5]


@lie("document")
def another_agent_in_the_document(run: Run) -> None:
    run.final.conversations[LIN]["agent_id"] = "xiaoyu"


@lie("view")
def a_reader_misses_one(run: Run) -> None:
    view = run.final.views[LIN][0]
    run.final.views[LIN][0] = replace(view, entries=[*view.entries[:3], *view.entries[4:]])


@lie("view")
def a_reader_misses_the_last(run: Run) -> None:
    view = run.final.views[LIN][0]
    run.final.views[LIN][0] = replace(view, entries=view.entries[:-1])


@lie("view", "told")
def a_reader_reads_something_else(run: Run) -> None:
    view = run.final.views[LIN][0]
    entry = run.said("改好了")
    entries = [(seq, text.replace("改好了".encode(), b"?") if seq == entry.seq else text) for seq, text in view.entries]
    run.final.views[LIN][0] = replace(view, entries=entries)
