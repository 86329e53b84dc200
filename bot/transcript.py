"""What one participant has been told so far: pure, frame in, new entries out.

Law: `logs` holds every entry of every conversation from the first one seen, once and in order. Anything else that a
gateway sends is a violation of its promise, and is kept as one.
"""

from typing import Any

Frame = dict[str, Any]
Entry = dict[str, Any]


class Transcript:
    """The logs, cursors and conversations that follow from a session's frames."""

    def __init__(self) -> None:
        self.logs: dict[str, list[Entry]] = {}
        """Of each conversation the entries seen, in order; each has `seq`, `at_ms` and its parts."""
        self.cursors: dict[str, int] = {}
        """The last seq seen of each conversation: what `hello` resumes from."""
        self.conversations: dict[str, Frame] = {}
        self.waiting: dict[str, Frame] = {}
        """At an agent's desk: the conversations that nobody has."""
        self.welcome: Frame = {}
        self.violations: list[str] = []

    def cards(self, conversation_id: str) -> dict[str, Frame]:
        """The cards of a conversation as they are now, by proposal id."""
        return {
            entry["card"]["proposal_id"]: entry["card"]
            for entry in self.logs.get(conversation_id, ())
            if "card" in entry
        }

    def take(self, frame: Frame) -> list[tuple[str, Entry]]:
        """Take note of a frame; the entries that are new, each with its conversation's id."""
        match frame["type"]:
            case "entry":
                return [self._entry(frame["conversation_id"], frame)]
            case "reset":
                return self._page(frame)
            case "welcome":
                self._welcome(frame)
            case "conversation":
                self._conversation(frame)
        return []

    def _entry(self, conversation_id: str, entry: Entry) -> tuple[str, Entry]:
        cursor = self.cursors.get(conversation_id)
        if cursor is not None and entry["seq"] != cursor + 1:
            self.violations.append(f"{conversation_id}: seq {entry['seq']} after {cursor}")
        self.cursors[conversation_id] = entry["seq"]
        self.logs.setdefault(conversation_id, []).append(entry)
        if "conversation" in entry:
            self.conversations[conversation_id] = entry["conversation"]
        return conversation_id, entry

    def _page(self, page: Frame) -> list[tuple[str, Entry]]:
        """A fresh page instead of what is missing: what it repeats is dropped; where it skips, the log begins anew."""
        id, entries = page["conversation_id"], page["entries"]
        self.conversations[id] = page["conversation"]
        cursor = self.cursors.pop(id, 0)
        if page["last_seq"] < cursor or (entries and entries[0]["seq"] > cursor + 1):
            self.logs[id], cursor = [], 0
        new = [self._entry(id, entry) for entry in entries if entry["seq"] > cursor]
        self.cursors[id] = page["last_seq"]
        return new

    def _welcome(self, welcome: Frame) -> None:
        self.welcome = welcome
        for conversation in welcome["conversations"]:
            id = conversation["conversation_id"]
            self.conversations[id] = conversation
            self.cursors.setdefault(id, conversation["seq"])
        who = welcome["participant"]
        if who["role"] == "buyer":
            self.cursors.setdefault(f"{who['shop_id']}.{who['id']}", 0)
        self.waiting = {conversation["conversation_id"]: conversation for conversation in welcome["waiting"]}

    def _conversation(self, conversation: Frame) -> None:
        id = conversation["conversation_id"]
        if conversation["agent_id"] is None:
            self.waiting[id] = conversation
        else:
            self.waiting.pop(id, None)
        if id in self.conversations:
            self.conversations[id] = conversation
