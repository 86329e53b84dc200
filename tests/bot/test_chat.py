"""The terminal client: what a line means, what is shown, and a card from one terminal to another."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bot.cli.chat_lines import BadLine, Line, Proposing, read_line
from bot.cli.chat_view import ChatView
from bot.cli.chatting import Chat
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
        ("/list", Line("list")),
        ("/remind", Line("remind")),
        ("/close ", Line("close")),
        ("/suspend", Line("suspend")),
        ("/resume", Line("resume")),
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
        ("/list all", "/list"),
        ("/remind now", "/remind"),
        ("/close it", "/close"),
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


def drawn(draw: Callable[[ChatView], None]) -> str:
    screen = io.StringIO()
    draw(ChatView(Console(file=screen, force_terminal=True, color_system=None, width=120, _environ={}), Locale.EN))
    return screen.getvalue()


def shown(entry: dict[str, Any]) -> str:
    return drawn(lambda view: view.entry(entry))


def test_nothing_that_people_wrote_reaches_the_terminal_as_a_command() -> None:
    by = {"role": "buyer", "id": "b", "name": "\x1b]0;owned\x07"}
    seen = shown({"seq": 1, "at_ms": 0, "text": {"by": by, "text": "a\x1b[2J\rb [bold red]c[/] \x9bK :smile:"}})
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", seen)
    assert "[bold red]c[/]" in seen
    assert ":smile:" in seen


@pytest.mark.parametrize("code", ["reply_warning", "reply_overdue"])
def test_a_notice_of_no_order_is_shown(code: str) -> None:
    """Seen to fail with notices that are taken to speak of an order."""
    notice = {"code": code, "text": "陈默 waits", "buyer": "陈默", "asked_ms": "1", "agent_id": "amy"}
    assert shown({"seq": 1, "at_ms": 0, "notice": notice}).endswith("▸ 陈默 waits\n")


def item(buyer: str, group: str, **more: Any) -> dict[str, Any]:
    standing = {"unread": 0, "asked_ms": None, "overdue": False, "line": {"text": "hi"}}
    return {"buyer_id": buyer, "buyer_name": buyer.title(), "group": group, **standing, **more}


def test_the_list_says_who_waits_for_how_long_and_what_to_type() -> None:
    hour = 3600_000
    page = {
        "now_ms": 10 * hour,
        "counts": {"to_reply": 1, "in_progress": 7, "unassigned": 1},
        "total": 9,
        "conversations": [
            item("amy", "to_reply", unread=3, asked_ms=9 * hour, overdue=True, line={"text": "a\x1b[2J" + "b" * 50}),
            item("bob", "in_progress", line=None),
            item("cat", "unassigned", asked_ms=10 * hour - 61_000),
        ],
    }
    seen = drawn(lambda view: view.desk(page))
    rows = [re.split(r" {2,}", line.strip()) for line in seen.splitlines()]
    assert rows[0] == ["to reply 1 · in progress 7 · unassigned 1"]
    assert ["to reply", "Amy", "3", "1:00:00", "a�[2J" + "b" * 34 + "…", "/use amy"] in rows
    assert ["in progress", "Bob", "/use bob"] in rows
    assert ["unassigned", "Cat", "0:01:01", "hi", "/open cat"] in rows
    assert rows[-1] == ["… and 6 more"]


def test_what_was_missed_is_told_if_anything_was() -> None:
    nothing = {"outcomes": {}, "new_conversations": 0, "handed_on": 0, "overdue": 0}
    assert drawn(lambda view: view.missed(nothing)) == ""
    some = {"outcomes": {"agreed": 2, "timed_out": 1}, "new_conversations": 0, "handed_on": 3, "overdue": 1}
    assert drawn(lambda view: view.missed(some)) == (
        "While you were away: agreed 2, timed out 1, conversations that went to others 3, replies overdue 1\n"
    )


def test_what_came_while_the_connection_was_lost_is_said_once() -> None:
    """Seen to fail with a list that is said at the start alone: nobody was told of a conversation that came."""
    conversation = {"conversation_id": "s.bob", "buyer_id": "bob", "buyer_name": "Bob"}
    waiting = {"conversation_id": "s.cat", "buyer_id": "cat", "buyer_name": "Cat"}
    missed = {"from_ms": 1, "outcomes": {"agreed": 1}, "new_conversations": 1, "handed_on": 0, "overdue": 0}
    first = {
        "type": "welcome",
        "participant": {"role": "agent", "id": "amy"},
        "conversations": [],
        "waiting": [],
        "missed": None,
    }
    later = {**first, "conversations": [conversation], "waiting": [waiting], "missed": missed}

    def come_back(view: ChatView) -> None:
        chat = Chat(view)
        for welcome in (first, later, later):
            chat.event(welcome)

    assert drawn(come_back).splitlines() == [
        "Connected again.",
        "While you were away: agreed 1, conversations that came 1",
        "Bob is yours: /use bob",
        "Cat waits for an agent: /open cat",
        "Connected again.",
    ]


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
        await agent.type("/suspend")
        await agent.until(lambda out: "You get no new conversations" in out)
        await agent.type("/resume")
        await agent.until(lambda out: "You get new conversations." in out)
        await buyer.type("T恤想换墨绿色")
        await agent.until(lambda out: "林晚: T恤想换墨绿色" in out)
        await agent.type("hello")
        await agent.until(lambda out: "In which conversation?" in out)
        await agent.type("/use lin-wan")
        await agent.until(lambda out: "— qingmu.lin-wan —" in out)
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
        await agent.type("/list")
        await agent.until(lambda out: re.search("^ *in progress +林晚 ", out, re.MULTILINE))
        assert re.search("^to reply . · in progress 1 · unassigned 0$", agent.out, re.MULTILINE)
        await agent.type("/remind")
        await buyer.until(lambda out: "客服提醒您处理订单 QM1023 的改规格申请" in out)
        await agent.type("/remind")
        await agent.until(lambda out: "✗ Reminded already" in out)
        await agent.type("/close")
        await agent.until(lambda out: "✗ A card is still open" in out)
        await buyer.type("/reject 还是白色吧")
        seen = await agent.until(lambda out: "▸ The buyer rejected the change of spec · QM1023" in out)
        assert "Rejected · 还是白色吧" in seen
        await buyer.type("/agree")
        await buyer.until(lambda out: "✗ 此申请已有结果：已拒绝" in out)
        await agent.type("/close")
        await agent.until(lambda out: "小雨 closed the conversation" in out)
        await buyer.until(lambda out: "本次服务已结束" in out)

        await agent.type("/open lin-wan")
        await agent.until(lambda out: "小雨 took the conversation" in out)
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
