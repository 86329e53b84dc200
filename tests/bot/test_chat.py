"""The terminal client: what a line means, what is shown, and a card from one terminal to another."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bot.cli.chat_lines import BadLine, Line, Proposing, read_line
from bot.cli.chat_view import ChatView
from cards.texts import Locale
from tests.bot.command_line import CommandLine


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("", None),
        ("   ", None),
        ("你好 /agree", Line("say", ("你好 /agree",))),
        ("/open  lin-wan ", Line("open", ("lin-wan",))),
        ("/orders", Line("orders")),
        ("/reject", Line("reject")),
        ("/reject 太贵了, 不要  ", Line("reject", ("太贵了, 不要",))),
    ],
)
def test_a_line_is_said_or_is_a_command(typed: str, line: Line | None) -> None:
    assert read_line(typed) == line


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("/dance", "There is no /dance"),
        ("/open", "/open BUYER"),
        ("/open a b", "/open BUYER"),
        ("/orders now", "/orders"),
        ("/propose QM1 1", "/propose ORDER LINE SKU"),
        ("/propose QM1 1 waive", "/propose ORDER LINE SKU"),
        ("/propose QM1 1 a 2", "/propose ORDER LINE SKU"),
        ("/", "There is no /"),
    ],
)
def test_a_line_that_means_nothing_says_what_to_type(typed: str, said: str) -> None:
    with pytest.raises(BadLine, match=re.escape(said)):
        read_line(typed)


@pytest.mark.parametrize(
    ("typed", "changes", "waive"),
    [
        ("/propose QM1 1 a", [("1", "a")], False),
        ("/propose QM1 1 a waive", [("1", "a")], True),
        ("/propose QM1 1 a 2 b waive", [("1", "a"), ("2", "b")], True),
    ],
)
def test_proposing_names_lines_and_skus(typed: str, changes: list[tuple[str, str]], waive: bool) -> None:
    line = read_line(typed)
    assert line is not None
    wish = Proposing.of(line)
    assert wish.order_id == "QM1"
    assert [(change["line_id"], change["to_sku"]) for change in wish.changes] == changes
    assert wish.waive is waive


def shown(entry: dict[str, Any]) -> str:
    screen = io.StringIO()
    ChatView(Console(file=screen, force_terminal=True, color_system=None), Locale.EN).entry(entry)
    return screen.getvalue()


def test_nothing_that_people_wrote_reaches_the_terminal_as_a_command() -> None:
    by = {"role": "buyer", "id": "b", "name": "\x1b]0;owned\x07"}
    seen = shown({"seq": 1, "at_ms": 0, "text": {"by": by, "text": "a\x1b[2J\rb [bold red]c[/] \x9bK :smile:"}})
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", seen)
    assert "[bold red]c[/]" in seen
    assert ":smile:" in seen


async def test_from_one_terminal_to_another(tmp_path: Path) -> None:
    """An agent and a buyer, each at a terminal of their own, on the demo."""
    data = ("--data", str(tmp_path))
    async with CommandLine() as commands:
        demo = await commands.start("demo", *data, "--port", "0")
        await demo.until(lambda out: "Ctrl-C stops it" in out)
        buyer = await commands.start("chat", "--as", "lin-wan", *data)
        agent = await commands.start("chat", "--as", "xiaoyu", *data, "--locale", "en")
        await agent.until(lambda out: "You are 小雨 (agent xiaoyu)" in out)
        await buyer.until(lambda out: "You are 林晚 (buyer lin-wan)" in out)

        await agent.until(lambda out: "林晚: 你好，QM1023" in out)  # her first words are the demo's
        await buyer.type("T恤想换墨绿色")
        await agent.until(lambda out: "林晚: T恤想换墨绿色" in out)
        await agent.type("hello")
        await agent.until(lambda out: "In which conversation?" in out)
        await agent.type("/open lin-wan")
        await agent.type("/quote QM1023")
        await agent.until(lambda out: "/propose QM1023 1 SKU waive" in out)
        assert re.search("tee-green-m .* yes, with waive", agent.out)
        await agent.type("/propose QM1023 1 tee-green-m")
        await agent.until(lambda out: "✗ The buyer will not be charged the difference" in out)
        await agent.type("/propose QM1023 1 tee-green-m waive")

        seen = await buyer.until(lambda out: "/reject" in out)
        assert re.search(r"⏳ (2:00:00|1:59:\d\d) left", seen)
        assert "米白 / M → 墨绿 / M" in seen
        assert "无需补差价" in seen
        await buyer.type("/reject 还是白色吧")
        seen = await agent.until(lambda out: "▸ The buyer rejected the change of spec · QM1023" in out)
        assert "Rejected · 还是白色吧" in seen
        await buyer.type("/agree")
        await buyer.until(lambda out: "✗ 此申请已有结果：已拒绝" in out)

        await agent.type("/transfer ahe")
        await agent.until(lambda out: "小雨 transferred the conversation to 阿禾" in out)
        await agent.type("/quit")
        assert (await agent.ended()).status == 0
        assert buyer.process.stdin is not None
        buyer.process.stdin.close()
        ended = await buyer.ended()
        assert (ended.status, ended.err) == (0, "")
        # What was said is said once, though it came live and in the page that a turn to a conversation shows.
        assert agent.out.count("T恤想换墨绿色") == 1
        assert ended.out.count("T恤想换墨绿色") == 1
