"""What the demo tells whoever started it: where it is, who to be, what to try, where the data lies."""

import os
import sys
from collections.abc import Mapping
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

    def _lines(self) -> list[Text | str]:
        chat = f"{_python()} -m bot chat --as"
        where = "" if self.folder == Path("var") else f" --data {self.folder}"
        agents = [id for id in self.tokens if id != UNPLAYED]
        return [
            Text.assemble(("Assent is running", "bold green"), f"  {self.shop_name}"),
            "",
            _fact("Gateway", f"{self.address.ws}   ({self.address.url}/readyz)"),
            _fact("Data", self.data if self.new else f"{self.data}; as you left it"),
            _fact("Window", f'a card waits {say_duration(self.window)} (make run ARGS="--window 30s" for a short one)'),
            "",
            Text("Try it, each in a terminal of its own", "bold"),
            _step(1, f"{chat} {agents[0]}{where}", f"be {self.names[agents[0]]}, a customer-service agent"),
            _step("", "/open chen-mo", "in a moment 陈默 writes: take the conversation"),
            _step("", "/orders", "their orders, and which of them can change"),
            _step("", "/quote QM1019", "what each spec would mean"),
            _step("", "/propose QM1019 1 bedding-matcha-20 waive", "send the card; the answer comes by itself"),
            _step(
                2, f"{chat} {UNPLAYED}{where}", f"be {self.names[UNPLAYED]}, a buyer: say something, wait for a card"
            ),
            _step("", "/agree   or   /reject 不用了", f"once the agent sent one (/open {UNPLAYED}, /propose …)"),
            _step(
                3, f"{chat} {agents[1]}{where}", f"be {self.names[agents[1]]}, to whom /transfer {agents[1]} hands over"
            ),
            _step(4, "kill it with -9, start it again", "conversations, cards and deadlines are still there"),
            "",
            Text("Tokens, for clients of your own", "bold"),
            *[Text.assemble((f"  {id:<9} ", "cyan"), (token, "dim")) for id, token in self.tokens.items()],
            "",
            "Ctrl-C stops it; the data stays.",
        ]


def _fact(name: str, what: str) -> Text:
    return Text.assemble((f"  {name:<9} ", "cyan"), what)


def _step(number: int | str, command: str, what: str) -> Text:
    return Text.assemble(f"  {number:<2} ", (f"{command:<46} ", "bold"), (what, "dim"))


def _python() -> str:
    """The interpreter as one would type it here."""
    here = os.path.relpath(sys.executable)
    return sys.executable if here.startswith("..") else here
