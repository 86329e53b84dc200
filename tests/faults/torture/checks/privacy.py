"""Who was shown what: agents' business to no buyer, and conversations to nobody who has no part in them."""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from tests.faults.torture.checks.evidence import Evidence
from tests.faults.torture.checks.readers import Reader

Frame = dict[str, Any]

FOR_BUYERS = frozenset(
    {"entry", "reset", "welcome", "conversation", "read", "typing", "presence", "bye", "ok", "error"}
)
AGENTS_ONLY = frozenset({"group", "asked_ms", "overdue"})
"""What an item of the list has for agents alone."""
_DESK = frozenset({"missed", "state", "reply_overdue_ms"})
"""What a welcome has for agents alone."""
_OF_A_TALK = frozenset({"entry", "reset", "read", "typing"})


def buyers(evidence: Evidence) -> Iterator[str]:
    """No buyer is shown a notice, why a conversation was handed on, the desk, or another buyer's conversation."""
    for record in evidence.history.of("told", "answered"):
        if record.who.startswith("buyer "):
            frame = record.data["frame"]
            for what in _too_much(frame, record.who.partition(" ")[2].partition("#")[0]):
                yield f"{record.who} was shown {what} ({frame['type']} at {record.at} s)"
    for id, views in evidence.final.views.items():
        for view in views:
            if view.audience == "buyer":
                for seq, entry in view.entries:
                    if b'"notice":' in entry or b'"reason":"' in entry:
                        for what in _in_entry(orjson.loads(entry)):
                            yield f"{id}, seq {seq}: the buyer who reads it back is shown {what}"


def _too_much(frame: Frame, buyer_id: str) -> Iterator[str]:
    kind = frame["type"]
    if kind not in FOR_BUYERS:
        yield f"a frame {kind}"
    # An error says back what was asked for.
    if kind != "error" and (id := frame.get("conversation_id")) is not None and id.partition(".")[2] != buyer_id:
        yield f"the conversation {id}"
    if kind == "entry":
        yield from _in_entry(frame)
    elif kind == "welcome":
        if frame["waiting"] or frame.keys() & _DESK:
            yield "the desk"
        yield from _in_items(frame["conversations"], buyer_id)
    elif kind == "conversation":
        yield from _in_items([frame], buyer_id)
    elif kind == "presence" and frame["role"] != "agent":
        yield f"whether {frame['role']} {frame['id']} is here"
    elif kind in ("reset", "ok") and "entries" in frame:
        yield from _in_items([frame["conversation"]], buyer_id)
        for entry in frame["entries"]:
            yield from _in_entry(entry)


def _in_entry(entry: Frame) -> Iterator[str]:
    if "notice" in entry:
        yield f"the notice {entry['notice']['code']}"
    if "reason" in entry.get("system", ()):
        yield "why it was handed on"


def _in_items(items: Iterable[Frame], buyer_id: str) -> Iterator[str]:
    for item in items:
        if parts := sorted(item.keys() & AGENTS_ONLY):
            yield f"{', '.join(parts)} of a conversation"
        if item["buyer_id"] != buyer_id:
            yield f"the conversation {item['conversation_id']}"


def agents(evidence: Evidence) -> Iterator[str]:
    """No agent is told of a conversation that they neither have nor had; a supervisor of none, but how it stands."""
    readers = {reader.who: reader for reader in evidence.readers}
    for record in evidence.history.of("told"):
        frame = record.data["frame"]
        if frame["type"] not in _OF_A_TALK or record.who.startswith("buyer "):
            continue
        id = frame["conversation_id"]
        seq = frame["seq"] if frame["type"] == "entry" else frame.get("last_seq")
        if not _has_part(evidence, readers[record.who], id, seq):
            yield f"{record.who} was told {frame['type']} of {id} (seq {seq}, at {record.at} s), which was not theirs"


def _has_part(evidence: Evidence, reader: Reader, id: str, seq: int | None) -> bool:
    if reader.role != "agent":
        return False
    hands = evidence.hands.get(id)
    first = hands.first_of(reader.person_id) if hands else None
    if first is not None and (seq is None or first <= seq):
        return True
    # What a failover lost, or is too old to be kept, may have made it theirs; then they were told that, too.
    lost = hands is None or not hands.whole or evidence.may_cut_back(evidence.ended_ms)
    return lost and (id, reader.person_id) in evidence.told_whose
