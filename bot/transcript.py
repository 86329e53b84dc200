"""What one participant has been told so far: pure, frame in, new entries out.

Law: `logs` holds every entry of every conversation from the first one seen, once and in order; what a failover lost of
a log goes from here too, when the gateway says how the log is now. Anything else that a gateway sends is a violation of
its promise, and is kept as one. `conversations` is the list as it is now.
"""

from typing import Any

from bot.list_item import after_entry, after_read, line_of, new_item

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
        """Of each conversation how it stands: an item of the list, kept true by what is told since."""
        self.waiting: dict[str, Frame] = {}
        """At an agent's desk: the conversations that nobody has."""
        self.presence: dict[tuple[str, str], str] = {}
        """What was told of people since the welcome, by role and id: `online`, `suspended` or `offline`."""
        self.typing: dict[str, bool] = {}
        """Of each conversation whether the other side is writing."""
        self.welcome: Frame = {}
        self.violations: list[str] = []
        self._reads: dict[str, dict[str, Frame]] = {}
        """Of each conversation how far each side has read, as last told: it may have been told before the entries."""

    @property
    def at_ms(self) -> dict[str, int]:
        """When the entry at each cursor was, where it is here: what tells another log from the one that is known."""
        last = {id: log[-1] for id, log in self.logs.items() if log}
        return {id: entry["at_ms"] for id, entry in last.items() if entry["seq"] == self.cursors.get(id)}

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
            case "read":
                self._read(frame)
            case "typing":
                self.typing[frame["conversation_id"]] = frame["active"]
            case "presence":
                self._presence(frame)
        return []

    def _entry(self, conversation_id: str, entry: Entry) -> tuple[str, Entry]:
        cursor = self.cursors.get(conversation_id)
        if cursor is not None and entry["seq"] != cursor + 1:
            self.violations.append(f"{conversation_id}: seq {entry['seq']} after {cursor}")
        self.cursors[conversation_id] = entry["seq"]
        self.logs.setdefault(conversation_id, []).append(entry)
        if "conversation" in entry or ("text" in entry and entry["text"]["by"]["role"] != self.role):
            self.typing.pop(conversation_id, None)
        item = self.conversations.get(conversation_id)
        if item is None:
            item = {**new_item(conversation_id, self.role), "seq": entry["seq"] - 1}
        new = after_entry(item, entry, self.role)
        if self.role == "buyer" and new.get("agent_id") != item.get("agent_id"):
            new["online"] = False  # until it is told how the other agent is
        self._keep(new)
        return conversation_id, entry

    def _page(self, page: Frame) -> list[tuple[str, Entry]]:
        """A fresh page instead of what is missing. What it repeats is dropped; what is here and not in the log any more
        goes; where nothing says that what is here leads up to it, the log begins anew.
        """
        id, entries = page["conversation_id"], page["entries"]
        cursor, known = self.cursors.pop(id, 0), self.conversations.get(id, {})
        here = {entry["seq"]: entry["at_ms"] for entry in self.logs.get(id, ())}
        cut = page["last_seq"] < cursor or any(here.get(one["seq"], one["at_ms"]) != one["at_ms"] for one in entries)
        if here:
            # A log is only ever cut at its end: before an entry that both have, they have the same.
            common = max((one["seq"] for one in entries if here.get(one["seq"]) == one["at_ms"]), default=0)
            self.logs[id] = [entry for entry in self.logs[id] if entry["seq"] <= common]
        else:
            common = 0 if cut or (entries and entries[0]["seq"] > cursor + 1) else cursor
        if cut:
            self.conversations.pop(id, None)
            self._reads.pop(id, None)
        new = [self._entry(id, entry) for entry in entries if entry["seq"] > common]
        self.cursors[id] = page["last_seq"]
        line = next(filter(None, map(line_of, reversed(entries))), None if cut else known.get("line"))
        self._told({"line": line, "online": known.get("online"), **page["conversation"]})
        return new

    @property
    def role(self) -> str:
        """What this participant is."""
        return str(self.welcome["participant"]["role"]) if self.welcome else ""

    def _welcome(self, welcome: Frame) -> None:
        self.welcome = welcome
        for told in (self.presence, self.typing, self._reads):
            told.clear()
        for conversation in welcome["conversations"]:
            id = conversation["conversation_id"]
            self.conversations[id] = conversation
            self.cursors.setdefault(id, conversation["seq"])
        who = welcome["participant"]
        if who["role"] == "buyer":
            self.cursors.setdefault(f"{who['shop_id']}.{who['id']}", 0)
        self.waiting = {conversation["conversation_id"]: conversation for conversation in welcome["waiting"]}

    def _conversation(self, frame: Frame) -> None:
        """How a conversation stands, told anew; what was told before it may come after it, and is older."""
        id = frame["conversation_id"]
        item = {name: value for name, value in frame.items() if name not in ("type", "now_ms")}
        if id in self.conversations or self._is_mine(item):
            self._told(item)
        else:
            self._keep_waiting(item)

    def _told(self, item: Frame) -> None:
        """How a conversation stood at some time, to which what was told since is added."""
        id = item["conversation_id"]
        log = self.logs.get(id, [])
        known = self.conversations.get(id)
        if known is not None and known["seq"] > item["seq"]:
            between = range(item["seq"] + 1, known["seq"] + 1)
            if not log or log[0]["seq"] > between[0] or log[-1]["seq"] < between[-1]:
                return  # it is older, and what came since is not here
        for entry in log:
            item = after_entry(item, entry, self.role)
        for read in self._reads.get(id, {}).values():
            item = after_read(item, read, self.role, log)
        self._keep(item)

    def _is_mine(self, item: Frame) -> bool:
        """An agent has what is theirs, a supervisor what any agent has; a buyer hears of their own only."""
        if self.role == "agent":
            return bool(item.get("agent_id") == self.welcome["participant"]["id"])
        return self.role == "buyer" or item.get("agent_id") is not None

    def _keep(self, item: Frame) -> None:
        state = self.presence.get(self._other_side(item))
        if state is not None:  # signs are told at once, and so are newer than what was read
            item = {**item, "online": state != "offline"}
        self.conversations[item["conversation_id"]] = item
        self._keep_waiting(item)

    def _other_side(self, item: Frame) -> tuple[str, str]:
        """Who it is of whose coming and going this participant is told."""
        if self.role == "buyer":
            return "agent", item.get("agent_id") or ""
        told = item.get("group") == "unassigned" or (self.role == "agent" and self._is_mine(item))
        return "buyer", item.get("buyer_id", "") if told else ""

    def _keep_waiting(self, item: Frame) -> None:
        if item.get("group") == "unassigned":
            self.waiting[item["conversation_id"]] = item
        else:
            self.waiting.pop(item["conversation_id"], None)

    def _read(self, frame: Frame) -> None:
        id = frame["conversation_id"]
        self._reads.setdefault(id, {})[frame["by"]] = frame
        for items in (self.conversations, self.waiting):
            if id in items:
                items[id] = after_read(items[id], frame, self.role, self.logs.get(id, ()))

    def _presence(self, frame: Frame) -> None:
        self.presence[frame["role"], frame["id"]] = frame["state"]
        gone = frame["state"] == "offline"
        for items in (self.conversations, self.waiting):
            for id, item in items.items():
                if self._other_side(item) == (frame["role"], frame["id"]):
                    items[id] = {**item, "online": not gone}
                    if gone:
                        self.typing.pop(id, None)
