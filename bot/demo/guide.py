"""What the demo tells whoever started it: the page to open, who to be, where the data lies."""

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
from bot.demo.cast import SUPERVISOR, UNPLAYED


@dataclass(frozen=True, slots=True)
class Guide:
    """Everything it tells. `tokens` are by person's id, `data` says where everything is kept, `names` who is who."""

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
        url = self.address.url
        agents = [id for id in self.tokens if id not in (UNPLAYED, SUPERVISOR[0])]
        yield Text.assemble(("Assent is running", "bold green"), f"  {self.shop_name}")
        yield ""
        yield Text.assemble(("  Open this  ", "bold"), (f"{url}/", "bold cyan"))
        yield "             both screens side by side, and buttons for what the rest of the world does"
        yield ""
        yield "  Or each screen by itself, the address being the key to it:"
        for id in agents:
            yield from self._page("/workbench", id, "customer service")
        yield from self._page("/chat", UNPLAYED, "a buyer")
        yield ""
        yield _row("Gateway", f"{self.address.ws}   ({url}/readyz)")
        yield _row("Data", self.data if self.new else f"{self.data}; as you left it")
        yield _row("Window", f'a card waits {say_duration(self.window)} (make run ARGS="--window 30s" for a short one)')
        where = "" if self.folder == Path("var") else f" --data {shlex.quote(str(self.folder))}"
        yield Text.assemble(("  Terminal  ", "cyan"), f"{_python()} -m bot chat --as {agents[0]}{where}")
        yield "            /open chen-mo, /orders, /propose QM1019 1 bedding-matcha-20 waive; /help says the rest"
        yield ""
        yield "Kill it with -9 and start it again: conversations, cards and deadlines are still there."
        yield "Ctrl-C stops it; the data stays."

    def _page(self, path: str, id: str, what: str) -> Iterator[Text]:
        yield Text.assemble((f"  {id:<9} ", "cyan"), f"{self.names[id]}, {what}")
        yield Text(f"            {self.address.url}{path}#token={self.tokens[id]}", "dim")


def _row(name: str, what: str) -> Text:
    return Text.assemble((f"  {name:<9} ", "cyan"), what)


def _python() -> str:
    """The interpreter as one would type it here."""
    here = os.path.relpath(sys.executable)
    return sys.executable if here.startswith("..") else here
