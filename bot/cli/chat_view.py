"""How a conversation looks in a terminal. Law: nothing that people wrote can move the cursor or change a colour."""

import time
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Column, Table
from rich.text import Text

from bot.cli.chat_lines import HELP
from cards.texts import Locale, money

Frame = Mapping[str, Any]

_STYLES = {
    "pending": "yellow",
    "applying": "yellow",
    "agreed": "green",
    "rejected": "red",
    "timed_out": "magenta",
    "invalid": "magenta",
    "withdrawn": "dim",
}


_GROUPS = {"to_reply": "to reply", "in_progress": "in progress", "unassigned": "unassigned"}
_MISSED = {
    "new_conversations": "conversations that came",
    "handed_on": "conversations that went to others",
    "overdue": "replies overdue",
}
_LINE = 40
"""Characters of a conversation's last line that the list shows."""


class ChatView:
    """Prints entries, orders, quotes and errors. `me` is the participant of the welcome."""

    def __init__(self, console: Console, locale: Locale) -> None:
        self._console = console
        self._locale = locale
        self._ahead_ms = 0.0
        self.me: Frame = {}

    def heard(self, frame: Frame) -> None:
        """Take note of the server's clock, from any frame that carries it: countdowns go by it."""
        if "now_ms" in frame:
            self._ahead_ms = frame["now_ms"] - time.time() * 1000

    def entry(self, entry: Frame, elsewhere: str | None = None, *, outdated: bool = False) -> None:
        """One entry; `elsewhere` names its conversation if it is not the current one.

        Of a card that has moved on since (`outdated`) only its state then is told.
        """
        head = Text(f"{_clock(entry['at_ms'])} ", "dim")
        if elsewhere is not None:
            head.append(f"[{plain(elsewhere)}] ", "cyan")
        if "text" in entry:
            by = entry["text"]["by"]
            mine = (by["role"], by["id"]) == (self.me.get("role"), self.me.get("id"))
            said = (f"{plain(by['name'])}: ", "bold" if mine else "bold cyan"), plain(entry["text"]["text"])
            self._print(head, *said)
        if "system" in entry:
            self._print(head, (plain(entry["system"]["text"]), "italic dim"))
        if "card" in entry:
            self._card(head, entry["card"], outdated=outdated)
        if "notice" in entry:
            self._notice(head, entry["notice"])

    def _card(self, head: Text, card: Frame, *, outdated: bool) -> None:
        style = _STYLES.get(card["state"], "")
        if card["state"] == "pending" and not outdated:
            self._print(head, (f"{plain(card['title'])} · {card['order_id']}", "bold"))
            self._console.print(Panel(self._card_body(card), border_style=style, box=box.ROUNDED, expand=False))
            return
        line = [(f"{plain(card['title'])} · {card['order_id']}: ", "bold"), (plain(card["label"]), style)]
        if card["comment"]:
            line.append((f" · {plain(card['comment'])}", ""))
        if card["reason"]:
            line.append((f" · {plain(card['reason']['text'])}", "dim"))
        self._print(head, *line)

    def _card_body(self, card: Frame) -> Group:
        lines = []
        for line in card["lines"]:
            lines.append(Text(f"{plain(line['title'])} × {line['quantity']}", "bold"))
            lines.append(Text.assemble("  ", (plain(line["old"]), "strike"), " → ", (plain(line["new"]), "bold green")))
        lines.append(Text(plain(card["price_line"])))
        lines.append(Text(f"⏳ {self._left(card['deadline_ms'])} left, until {_clock(card['deadline_ms'])}", "yellow"))
        buttons = [f"/{button['action']} {button['label']}" for button in card["buttons"]]
        return Group(*lines, Text("   ".join(buttons), "bold"))

    def _left(self, deadline_ms: int) -> str:
        return _duration(deadline_ms - self._now_ms())

    def _now_ms(self) -> float:
        """The server's clock."""
        return time.time() * 1000 + self._ahead_ms

    def _notice(self, head: Text, notice: Frame) -> None:
        reason = notice.get("reason") or {}
        parts = [part for part in (notice["text"], notice.get("order_id"), reason.get("text")) if part]
        self._print(head, ("▸ ", "bold yellow"), (plain(" · ".join(parts)), "bold"))

    def problem(self, problem: Frame) -> None:
        """An error, as title and detail, with each refused line's own."""
        self._print((f"✗ {plain(problem['title'])}", "bold red"))
        if problem.get("detail"):
            self._print(f"  {plain(problem['detail'])}")
        lines = problem.get("lines") or ()
        for line in lines if len(lines) > 1 else ():
            self._print(f"  · {line['line_id']}: {plain(line['title'])}")

    def hint(self, text: str) -> None:
        """A word of this program's own."""
        self._print((plain(text), "dim"))

    def conversations(self, conversations: Iterable[Frame], *, waiting: bool) -> None:
        """An agent's conversations, or those nobody has, and what to type for them."""
        for one in conversations:
            verb, what = ("/open", "waits for an agent") if waiting else ("/use", "is yours")
            self._print((f"{plain(one['buyer_name'])} ", "cyan"), f"{what}: {verb} {one['buyer_id']}")

    def desk(self, page: Frame) -> None:
        """The list of conversations: the groups with their counts, who waits for how long, what to type for each."""
        self.heard(page)
        counts = [f"{words} {page['counts'][group]}" for group, words in _GROUPS.items()]
        self._print((" · ".join(counts), "bold"))
        table = _table("", "Buyer", "Unread", "Waits", "Last line", "Type")
        for one in page["conversations"]:
            asked_ms = one["asked_ms"]
            waits = _duration(self._now_ms() - asked_ms) if asked_ms is not None else ""
            line = plain(one["line"]["text"]) if one["line"] else ""
            table.add_row(
                _GROUPS[one["group"]],
                Text(plain(one["buyer_name"]), "cyan"),
                str(one["unread"] or ""),
                Text(waits, "bold red" if one["overdue"] else "yellow"),
                Text(line if len(line) <= _LINE else f"{line[: _LINE - 1]}…"),
                f"{'/open' if one['group'] == 'unassigned' else '/use'} {one['buyer_id']}",
            )
        if page["conversations"]:
            self._console.print(table)
        if (more := page["total"] - len(page["conversations"])) > 0:
            self.hint(f"… and {more} more")

    def missed(self, missed: Frame) -> None:
        """What happened while an agent was away, if anything did."""
        numbers = [
            *(f"{state.replace('_', ' ')} {number}" for state, number in missed["outcomes"].items()),
            *(f"{words} {missed[name]}" for name, words in _MISSED.items() if missed[name]),
        ]
        if numbers:
            self._print(("While you were away: ", "bold yellow"), (", ".join(numbers), "bold"))

    def orders(self, answer: Frame) -> None:
        """A buyer's orders: whether each can change, or why not."""
        table = _table("Order", "Status", "Line", "Item", "Spec", "SKU", "Price", "Change?")
        for order in answer["orders"]:
            status = " ".join([order["label"], *(tag["label"] for tag in order["tags"])])
            if order["card"]:
                can = Text(order["card"]["label"], "yellow")
            else:
                can = Text("yes", "green") if order["can_change"] else Text(plain(order["refusal"]["title"]), "dim")
            for number, line in enumerate(order["lines"]):
                first = (order["id"], status, can) if number == 0 else ("", "", "")
                price = f"{self._money(line['unit_price_cents'], answer['currency'])} × {line['quantity']}"
                item = plain(line["title"]), plain(line["spec"])
                table.add_row(first[0], first[1], line["line_id"], *item, line["sku_id"], price, first[2])
        self._console.print(table)

    def quote(self, quote: Frame) -> None:
        """Of each line of an order what each spec would mean, and what to type."""
        if quote["code"]:
            self.problem(quote)
            return
        for line in quote["lines"]:
            self._print((f"{plain(line['title'])} × {line['quantity']}", "bold"))
            table = _table("SKU", "Spec", "Price", "Stock", "Change?")
            for verdict in line["verdicts"]:
                price = self._money(verdict["unit_price_after_cents"], quote["currency"])
                words = _verdict(verdict)
                table.add_row(verdict["sku_id"], plain(verdict["spec"]), price, str(verdict["stock"]), words)
            self._console.print(table)
            self._print((f"/propose {quote['order_id']} {line['line_id']} SKU", "bold"))
            for title in {plain(verdict["title"]) for verdict in line["verdicts"] if verdict["needs_waiver"]}:
                self._print((f"/propose {quote['order_id']} {line['line_id']} SKU waive", "bold"), f"   {title}")

    def help(self) -> None:
        """What can be typed."""
        for group, commands in HELP.items():
            self._print((f"for {group}", "bold"))
            for usage, what in commands:
                self._print((f"  {usage:<46} ", "cyan"), what)

    def _money(self, cents: int, currency: str) -> str:
        return money(cents, currency, self._locale)

    def _print(self, *parts: Text | str | tuple[str, str]) -> None:
        self._console.print(Text.assemble(*parts), soft_wrap=True)


def plain(text: str) -> str:
    """The text without control characters, which a terminal would obey."""
    return "".join("�" if unicodedata.category(character) == "Cc" else character for character in text)


def _duration(ms: float) -> str:
    """Hours, minutes and seconds; nothing is shorter than none."""
    seconds = max(0, round(ms / 1000))
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _table(*names: str) -> Table:
    return Table(*[Column(name, overflow="fold") for name in names], box=box.SIMPLE)


def _verdict(verdict: Frame) -> Text:
    if not verdict["allowed"]:
        return Text(plain(verdict["title"]), "dim")
    return Text("yes, with waive", "yellow") if verdict["needs_waiver"] else Text("yes", "green")


def _clock(at_ms: int) -> str:
    """The local time of day."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().strftime("%H:%M:%S")
