"""What a line typed into the chat means. Law: a line that begins with `/` is a command, any other is said."""

from dataclasses import dataclass

HELP = {
    "agents": (
        ("/list", "your conversations and those that wait for an agent, by group"),
        ("/open BUYER", "take the conversation with a buyer, or begin one"),
        ("/use CONVERSATION", "turn to another of your conversations (or the buyer's id)"),
        ("/quote ORDER", "what each spec of each item would mean"),
        (
            "/propose ORDER LINE SKU [LINE SKU …] [waive]",
            "send the card; `waive` confirms that nobody pays a difference",
        ),
        ("/remind", "remind the buyer of the waiting card, once in each quarter of its time"),
        ("/withdraw", "take the waiting card back"),
        ("/transfer AGENT", "hand the conversation to a colleague"),
        ("/close", "end the conversation, until the buyer writes again"),
        ("/suspend", "get no new conversations"),
        ("/resume", "get new conversations again"),
    ),
    "buyers": (
        ("/agree", "agree to the newest card"),
        ("/reject [WORDS]", "reject it, and say why"),
    ),
    "everybody": (
        ("any text", "say it in the conversation"),
        ("/orders", "the buyer's orders"),
        ("/history", "the last page of the conversation"),
        ("/help", "this list"),
        ("/quit", "leave (also Ctrl-C, Ctrl-D)"),
    ),
}


class BadLine(ValueError):
    """A line that means nothing; the message says what to type."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line read: `what` is `say` or a command's name, `words` what came with it."""

    what: str
    words: tuple[str, ...] = ()


_SIZES = {
    "open": (1, 1),
    "orders": (0, 0),
    "quote": (1, 1),
    "propose": (3, 200),
    "agree": (0, 0),
    "remind": (0, 0),
    "withdraw": (0, 0),
    "transfer": (1, 1),
    "close": (0, 0),
    "suspend": (0, 0),
    "resume": (0, 0),
    "list": (0, 0),
    "history": (0, 0),
    "use": (1, 1),
    "help": (0, 0),
    "quit": (0, 0),
}
"""Of each command the fewest and the most words it takes; `reject` takes the rest of the line as it is."""


def read_line(text: str) -> Line | None:
    """What was typed; None for nothing. Raises BadLine."""
    text = text.strip()
    if not text:
        return None
    if not text.startswith("/"):
        return Line("say", (text,))
    name, _, rest = text[1:].partition(" ")
    if name == "reject":
        return Line(name, (rest.strip(),) if rest.strip() else ())
    if name not in _SIZES:
        raise BadLine(f"There is no /{name}. Type /help for what there is.")
    words = tuple(rest.split())
    fewest, most = _SIZES[name]
    if not fewest <= len(words) <= most or (name == "propose" and len(_pairs(words)) % 2):
        raise BadLine(f"Type it as: {_usage(name)}")
    return Line(name, words)


@dataclass(frozen=True, slots=True)
class Proposing:
    """The words of /propose: an order, of each line the wanted SKU, and whether the difference is waived."""

    order_id: str
    changes: list[dict[str, str]]
    waive: bool

    @classmethod
    def of(cls, line: Line) -> "Proposing":
        """From a line that read_line gave."""
        pairs = _pairs(line.words)
        changes = [{"line_id": id, "to_sku": sku} for id, sku in zip(pairs[::2], pairs[1::2], strict=True)]
        return cls(line.words[0], changes, waive=line.words[-1] == "waive")


def _pairs(words: tuple[str, ...]) -> tuple[str, ...]:
    return words[1:-1] if words[-1] == "waive" else words[1:]


def _usage(name: str) -> str:
    return next(usage for group in HELP.values() for usage, _ in group if usage.split()[0] == f"/{name}")
