"""The logs as they are stored, and as fresh readers are given them."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import orjson

from tests.faults.torture.checks.evidence import Evidence
from tests.faults.torture.final import Audience, Logged

Parts = dict[str, Any]


def gaps(evidence: Evidence) -> Iterator[str]:
    """A log has every seq once and in order, up to the last one that its conversation counts."""
    final = evidence.final
    for id in final.marks.keys() | final.logs.keys() | final.conversations.keys():
        log, last = final.logs.get(id, []), int(final.marks.get(id, {}).get("seq", 0))
        for one, other in pairwise(log):
            if other.seq != one.seq + 1:
                yield f"{id}: after seq {one.seq} comes {other.seq}"
        if (log[-1].seq if log else 0) != last:
            yield f"{id}: the log ends with seq {log[-1].seq if log else 0}, the conversation counts {last}"
        if id not in final.conversations:
            yield f"{id}: there is no document"


def documents(evidence: Evidence) -> Iterator[str]:
    """A conversation's document says what its log says: whose it is, and whether it is open."""
    for id, document in evidence.final.conversations.items():
        hands = evidence.hands.get(id)
        last = hands.all[-1] if hands and hands.all else None
        if last and (last.agent_id, last.open) != (document["agent_id"], document["open"]):
            yield (
                f"{id}: the log ends with {last.agent_id} (open: {last.open}, seq {last.seq}), "
                f"the document says {document['agent_id']} (open: {document['open']})"
            )


def views(evidence: Evidence) -> Iterator[str]:
    """Whoever reads a log from its beginning is given every entry once, with what is in it for them, and no more."""
    for id, log in evidence.final.logs.items():
        if not (given := evidence.final.views.get(id)):
            yield f"{id}: nobody was given it"
        for view in given or ():
            name = f"{id}, read by the {view.audience} in {view.locale}"
            seqs = [seq for seq, _ in view.entries]
            before = sum(entry.at_ms < evidence.final.began_ms for entry in log)
            wanted = log[: max(len(seqs), before)]
            if seqs != [entry.seq for entry in wanted]:
                yield f"{name}: the seqs are {_stretches(seqs)}, and should be {log[0].seq} to {log[-1].seq}"
                continue
            for entry, (seq, text) in zip(wanted, view.entries, strict=True):
                shown, stored = _shown(orjson.loads(text)), _stored(entry, view.audience)
                if shown != stored:
                    yield f"{name}, seq {seq}: {_difference(shown, stored)}"


def _stretches(seqs: list[int]) -> str:
    text: list[str] = []
    start = None
    for number, seq in enumerate(seqs):
        start = seq if start is None else start
        if number + 1 == len(seqs) or seqs[number + 1] != seq + 1:
            text.append(f"{start} to {seq}")
            start = None
    return ", ".join(text) or "none"


def _difference(shown: Parts, stored: Parts) -> str:
    names = sorted(name for name in {*shown, *stored} if shown.get(name) != stored.get(name))
    return "; ".join(f"{name} is {shown.get(name)!r} and should be {stored.get(name)!r}" for name in names)


_SAME = ("version", "state", "order_id", "created_ms", "deadline_ms", "total_before_cents", "total_after_cents")


def _stored(entry: Logged, audience: Audience) -> Parts:
    """What of an entry that side must be shown: the facts, without the words."""
    body = entry.body
    parts: Parts = {"at_ms": entry.at_ms, "unread": ("a" if audience == "agent" else "b") in entry.flags}
    if "text" in body:
        parts["text"] = body["author"]["role"], body["author"]["id"], body["text"]
    if card := body.get("card"):
        parts["card"] = (
            *(card[name] for name in ("id", *_SAME)),
            card.get("settled_ms"),
            card.get("reason"),
            card.get("comment"),
            [(line["line_id"], line["from_sku"], line["to_sku"], line["quantity"]) for line in card["lines"]],
        )
    if "notice" in body and audience == "agent":
        parts["notice"] = body["notice"], body.get("notice_to")
    if "system" in body:
        hidden = ("reason",) if audience == "buyer" else ()
        said = {name: value for name, value in body.get("params", {}).items() if name not in hidden}
        parts["system"] = body["system"], said
    if talk := body.get("conversation"):
        parts["conversation"] = talk["buyer_id"], talk["agent_id"], talk["open"]
    return parts


def _shown(entry: Parts) -> Parts:
    """The facts of an entry as a reader has it."""
    parts: Parts = {"at_ms": entry["at_ms"], "unread": entry.get("unread", False)}
    if text := entry.get("text"):
        parts["text"] = text["by"]["role"], text["by"]["id"], text["text"]
    if card := entry.get("card"):
        parts["card"] = (
            *(card[name] for name in ("proposal_id", *_SAME)),
            card["settled_ms"],
            (card["reason"] or {}).get("code"),
            card["comment"],
            [(line["line_id"], line["from_sku"], line["to_sku"], line["quantity"]) for line in card["lines"]],
        )
    if notice := entry.get("notice"):
        parts["notice"] = notice["code"], notice["agent_id"]
    if system := entry.get("system"):
        parts["system"] = system["code"], {n: v for n, v in system.items() if n not in ("code", "text")}
    if talk := entry.get("conversation"):
        parts["conversation"] = talk["buyer_id"], talk["agent_id"], talk["open"]
    return parts
