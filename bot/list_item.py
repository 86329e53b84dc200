"""An item of the list of conversations, kept true by what happens: pure, and the same for every client.

Law: an item says what was true at its `seq`; every later entry is folded in once, so items need not be asked for again.
Where a read mark was heard of before the entries that it speaks of, `counted` is the seq up to which `unread` counts.
"""

from collections.abc import Sequence
from typing import Any

Item = dict[str, Any]
Entry = dict[str, Any]
Frame = dict[str, Any]


def new_item(conversation_id: str, role: str) -> Item:
    """The item of a conversation in which nothing has happened yet."""
    item: Item = {
        "conversation_id": conversation_id,
        "seq": 0,
        "unread": 0,
        "read": {"agent": 0, "buyer": 0},
        "cards": [],
        "line": None,
        "online": False,
    }
    return item if role == "buyer" else {**item, "asked_ms": None, "overdue": False}


def after_entry(item: Item, entry: Entry, role: str) -> Item:
    """The item after an entry, as that role sees it; one that it includes already changes nothing."""
    if entry["seq"] <= item["seq"]:
        return item
    new = {**item, "seq": entry["seq"]}
    if entry.get("unread") and entry["seq"] > item.get("counted", 0):
        new["unread"] = new.get("unread", 0) + 1
    if entry["seq"] >= item.get("counted", 0):
        new.pop("counted", None)
    if "conversation" in entry:
        new.update(entry["conversation"])
    if "card" in entry:
        _take_card(new, entry["card"])
    if line := line_of(entry):
        new["line"] = line
    if role != "buyer":
        _take_waiting_time(new, entry)
    return new


def line_of(entry: Entry) -> Frame | None:
    """What a list shows of an entry when it is the last one that said something; most others say nothing there."""
    shown = {"seq": entry["seq"], "at_ms": entry["at_ms"]}
    if "text" in entry:
        return {**shown, **entry["text"]}
    if "card" in entry:
        card = entry["card"]
        text = f"{card['title']} · {card['label']}"
        return {**shown, "by": None, "text": text, "proposal_id": card["proposal_id"]}
    return None


def _take_card(new: Item, card: Frame) -> None:
    others = [one for one in new.get("cards", ()) if one["proposal_id"] != card["proposal_id"]]
    if card["state"] in ("pending", "applying"):
        others.append({name: card[name] for name in ("proposal_id", "order_id", "state", "deadline_ms")})
    new["cards"] = sorted(others, key=lambda one: (one["deadline_ms"], one["proposal_id"]))


def _take_waiting_time(new: Item, entry: Entry) -> None:
    """Since when the buyer waits for a reply: from their first message to the agent's, or to other hands."""
    by = entry["text"]["by"]["role"] if "text" in entry else None
    system = entry.get("system", {}).get("code")
    answered = by == "agent" or ("card" in entry and entry["card"]["version"] == 1) or system == "closed"
    if answered:
        new["asked_ms"], new["overdue"] = None, False
    elif system in _ANEW and new.get("asked_ms") is not None:
        new["asked_ms"], new["overdue"] = entry["at_ms"], False
    if by == "buyer" and new.get("asked_ms") is None:
        new["asked_ms"], new["overdue"] = entry["at_ms"], False
    if entry.get("notice", {}).get("code") == "reply_overdue":
        new["overdue"] = True
    new["group"] = _group(new)


_ANEW = ("transferred", "transferred_because", "reassigned")
"""System lines after which somebody else has to reply, in their own time."""


def _group(item: Item) -> str | None:
    if not item.get("open", True) or "agent_id" not in item:
        return None  # closed; or whose it is was never told, as to an agent who resumes what went to somebody else
    if item.get("agent_id") is None:
        return "unassigned"
    return "to_reply" if item.get("asked_ms") is not None else "in_progress"


def after_read(item: Item, read: Frame, role: str, log: Sequence[Entry]) -> Item:
    """The item after one side has read on, if it did not include that; `log` has the entries since it was made."""
    if read["seq"] <= item.get("read", {}).get(read["by"], 0):
        return item
    new = {**item, "read": {**item.get("read", {}), read["by"]: read["seq"]}}
    if (read["by"] == "buyer") == (role == "buyer"):
        new["unread"] = read["unread"] + sum(
            bool(entry.get("unread")) for entry in log if entry["seq"] > read["last_seq"]
        )
        if read["last_seq"] > item["seq"]:
            new["counted"] = read["last_seq"]
    return new
