"""What the demo tells whoever started it: where it is, who to be, what to try, where the data lies."""

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.text import Text

from bot.cli.duration import say_duration
from bot.cli.listening import Address
from bot.demo.cast import UNPLAYED


@dataclass(frozen=True, slots=True)
class Guide:
    """Everything it tells. `tokens` are by person's id, `data` says where what is kept, `names` who is who."""

    shop_id: str
    shop_name: str
    address: Address
    data: str
    folder: Path
    window: timedelta
    tokens: Mapping[str, str]
    names: Mapping[str, str]
    new: bool

    def facts(self) -> dict[str, object]:
        """The same for machines."""
        return {
            "url": self.address.url,
            "ws": self.address.ws,
            "port": self.address.port,
            "shop": self.shop_id,
            "data": str(self.folder),
            "window_ms": round(self.window.total_seconds() * 1000),
            "tokens": dict(self.tokens),
        }

    def show(self, console: Console) -> None:
        """Print it; without a terminal it is plain text. No line is broken, so that tokens can be copied."""
        for line in self._lines():
            console.print(line, soft_wrap=True)

    def _lines(self) -> Iterator[Text | str]:
        yield Text.assemble(("Assent is running", "bold green"), f"  {self.shop_name}")
        yield ""
        yield _row("Gateway", f"{self.address.ws}   ({self.address.url}/readyz)")
        yield _row("Data", self.data if self.new else f"{self.data}; as you left it")
        yield _row("Window", f'a card waits {say_duration(self.window)} (make run ARGS="--window 30s" for a short one)')
        yield ""
        first, second = [id for id in self.tokens if id != UNPLAYED][:2]
        yield from self._part(1, first, "a customer-service agent; soon a buyer writes, 陈默. Then type")
        yield _typed("/open chen-mo", "take the conversation")
        yield _typed("/orders", "his orders, and which of them can change")
        yield _typed("/quote QM1019", "what each spec would mean")
        yield _typed("/propose QM1019 1 bedding-matcha-20 waive", "send the card; after a while he answers")
        yield from self._part(2, UNPLAYED, f"a buyer; say something, and let the agent /open {UNPLAYED} and propose")
        yield _typed("/agree", "or /reject and why")
        yield from self._part(3, second, f"another agent, to whom the first can /transfer {second}")
        yield "  4  Kill everything with -9, and start it again: conversations, cards and deadlines are still there."
        yield ""
        yield Text("Tokens for clients of your own", "bold")
        for id, token in self.tokens.items():
            yield _row(id, token)
        yield ""
        yield "Ctrl-C stops it; the data stays."

    def _part(self, number: int, id: str, what: str) -> Iterator[Text]:
        where = "" if self.folder == Path("var") else f" --data {shlex.quote(str(self.folder))}"
        yield Text(f"  {number}  In another terminal be {self.names[id]}, {what}")
        yield Text(f"       {_python()} -m bot chat --as {id}{where}", "bold cyan")


def _row(name: str, what: str) -> Text:
    return Text.assemble((f"  {name:<9} ", "cyan"), what)


def _typed(line: str, what: str) -> Text:
    return Text.assemble((f"       {line:<43}", "bold"), (what, "dim"))


def _python() -> str:
    """The interpreter as one would type it here."""
    here = os.path.relpath(sys.executable)
    return sys.executable if here.startswith("..") else here
