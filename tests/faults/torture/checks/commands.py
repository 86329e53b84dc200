"""What people asked for: answered, carried out once or not at all, and where that is promised never lost."""

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from typing import Any

from tests.faults.torture.checks.evidence import Evidence
from tests.faults.torture.checks.subjects import Command
from tests.faults.torture.final import Logged
from tests.faults.torture.life import LIFE

Effect = tuple[str, ...]
"""What was done: the conversation, who did it (`buyer b1`), what, and to which card or with which words."""


def answered(evidence: Evidence) -> Iterator[str]:
    """Every command is answered; its person gives up only where something was broken meanwhile."""
    for command in evidence.commands:
        if command.gave_up is not None:
            if not evidence.disturbed(command.who, command.sent.wall_ms, command.gave_up.wall_ms):
                yield f"{command} was never answered, and nothing was broken"
        elif not command.replies:
            yield f"{command} was neither answered nor given up"


def errors(evidence: Evidence) -> Iterator[str]:
    """No error but those that happen to people who hurry, race, pry or come late."""
    for command in evidence.commands:
        for reply in command.replies:
            frame = reply.data["frame"]
            if frame["type"] == "error" and frame["code"] not in LIFE:
                yield f"{command} was answered with {frame['code']}: {frame.get('detail', '')}"
    for record in evidence.history.of("told"):
        frame = record.data["frame"]
        if frame["type"] == "error" and frame.get("re") is None:
            yield f"{record.who} was told of an error: {frame['code']}: {frame.get('detail', '')}"


def repeated(evidence: Evidence) -> Iterator[str]:
    """A command sent again gets its first reply: each `ok` of one id names the same entry; where that is promised."""
    if not evidence.kept:
        return
    for command in evidence.commands:
        if _WISH.get(command.type) and command.type != "open":
            named = {(ok.get("seq"), ok.get("proposal_id"), ok.get("state")) for ok in command.oks}
            if len(named) > 1:
                yield f"{command} was answered with different replies: {sorted(named, key=str)}"


def effects(evidence: Evidence) -> Iterator[str]:
    """What people did stands in the log as often as it was asked for, at most: nothing twice, nothing unasked."""
    asked: defaultdict[Effect, list[Command]] = defaultdict(list)
    for command in evidence.commands:
        if command.type in _WISH:
            asked[_asked_for(command, evidence)].append(command)
    done: defaultdict[Effect, list[int]] = defaultdict(list)
    for id, log in evidence.final.logs.items():
        for entry in log:
            if effect := _effect(id, entry):
                done[effect].append(entry.seq)
    for effect, seqs in done.items():
        who = f"{effect[0]}: {' '.join(effect[1:])} (seq {', '.join(map(str, seqs))})"
        possible = [
            command for command in asked.get(effect, ()) if not command.refused or command.id in evidence.copied
        ]
        if effect not in asked:
            yield f"{who}: nobody asked for that"
        elif not possible:
            yield f"{who}: it was refused, and done"
        elif len(seqs) > len(possible):
            yield f"{who}: done {len(seqs)} times, and asked for {len(possible)} times"


def kept(evidence: Evidence) -> Iterator[str]:
    """What was acknowledged is in the log, at the seq that its `ok` named; where that is promised."""
    if not evidence.kept:
        return
    named: dict[tuple[str, int], Command] = {}
    for command in evidence.commands:
        if not (wish := _WISH.get(command.type)):
            continue
        for ok in command.oks[:1]:
            effect, seq = _asked_for(command, evidence), ok["seq"]
            log = evidence.final.logs.get(effect[0], [])
            if log and seq < log[0].seq:
                continue  # it is so old that it is no longer kept
            entry = evidence.entries.get(effect[0], {}).get(seq)
            if command.type == "open":
                hand = evidence.hands[effect[0]].at(seq) if log else None
                if entry is None or (hand and f"agent {hand.agent_id}" != command.person):
                    yield f"{command} was accepted with seq {seq}, where {hand.agent_id if hand else 'nobody'} has it"
                continue
            if entry is None or _effect(effect[0], entry) != effect:
                there = " ".join(_effect(effect[0], entry)[1:]) or "something else" if entry else "nothing"
                yield f"{command} was accepted with seq {seq}, where there is {there}"
            elif what := wish(command, entry):
                yield f"{command} was accepted with seq {seq}, and {what}"
            if (other := named.setdefault((effect[0], seq), command)) is not command:
                yield f"{command} was accepted with seq {seq}, which is {other.id}'s"


def read_marks(evidence: Evidence) -> Iterator[str]:
    """What was confirmed as read is read in the end, and no more than there is; where that is promised."""
    for id, marks in evidence.final.marks.items():
        for side in ("agent", "buyer"):
            if int(marks.get(f"read:{side}", 0)) > int(marks.get("seq", 0)):
                yield f"{id}: the {side} has read up to {marks[f'read:{side}']} of {marks.get('seq')}"
    if not evidence.kept:
        return
    for command in evidence.commands:
        for ok in command.oks if command.type == "read" else ():
            id, side = command.members["conversation_id"], command.who.partition(" ")[0]
            if (mark := int(evidence.final.marks.get(id, {}).get(f"read:{side}", 0))) < ok["seq"]:
                yield f"{command} was accepted up to {ok['seq']}, and the mark is {mark}"


def _asked_for(command: Command, evidence: Evidence) -> Effect:
    members, person = command.members, command.person
    if command.type == "open":
        shop_id = next(iter(evidence.final.orders_before.values()))["shop_id"]
        return f"{shop_id}.{members['buyer_id']}", person, "open", ""
    match command.type:
        case "say":
            what = members["text"].strip()
        case "propose":
            what = command.id.replace("-", "")
        case "transfer":
            what = members["agent_id"]
        case "close":
            what = ""
        case _:
            what = members["proposal_id"]
    return members["conversation_id"], person, members.get("action", command.type), what


_MEANT = {"applying": "agree", "rejected": "reject", "withdrawn": "withdraw"}


def _effect(conversation_id: str, entry: Logged) -> Effect:
    """Who did what with an entry; empty for what no person did."""
    body = entry.body
    if (author := body.get("author")) is None:
        return ()
    of = partial(_of, conversation_id, f"{author['role']} {author['id']}")
    if "text" in body:
        return of("say", body["text"])
    if card := body.get("card"):
        return of("propose" if card["version"] == 1 else _MEANT.get(card["state"], card["state"]), card["id"])
    match body.get("system"):
        case "opened":
            return of("open", "")
        case "transferred" | "transferred_because":
            return of("transfer", body["conversation"]["agent_id"])
        case "closed":
            return of("close", "")
        case "reminded":
            return of("remind", body["params"]["proposal_id"])
    return ()


def _of(conversation_id: str, who: str, what: str, which: str) -> Effect:
    return conversation_id, who, what, which


def _as_asked(command: Command, entry: Logged) -> str | None:
    return None


def _proposed(command: Command, entry: Logged) -> str | None:
    card, members = entry.body["card"], command.members
    wishes = {change["line_id"]: change["to_sku"] for change in members["changes"]}
    if (card["order_id"], {line["line_id"]: line["to_sku"] for line in card["lines"]}) != (members["order_id"], wishes):
        return f"the card is about {card['order_id']}, {card['lines']}"
    return None


def _answered(command: Command, entry: Logged) -> str | None:
    card = entry.body["card"]
    if card["version"] != command.members["version"] + 1:
        return f"the card had version {card['version'] - 1}"
    if card.get("comment") != command.members.get("comment"):
        return f"the comment is {card.get('comment')!r}"
    return None


def _closed(command: Command, entry: Logged) -> str | None:
    return "it is open" if entry.body["conversation"]["open"] else None


_WISH: dict[str, Any] = {
    "say": _as_asked,
    "propose": _proposed,
    "answer": _answered,
    "withdraw": _as_asked,
    "remind": _as_asked,
    "transfer": _as_asked,
    "close": _closed,
    "open": _as_asked,
}
"""Commands that leave an entry, and what else must be as they said: what is not, or None."""
