"""One person at a terminal: what they type is done, and what they are told is shown.

Law: an entry is shown once, live or from a page of the log, whatever the connection did meanwhile.
"""

from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Any

from bot.cli.chat_lines import BadLine, Line, Proposing, read_line
from bot.cli.chat_view import ChatView
from bot.client import ChatClient, CommandFailed
from bot.conversation import conversation_id

Frame = Mapping[str, Any]

_PAGE = 15
"""Entries shown on turning to a conversation."""


class Chat:
    """Shows by `view`, and acts by `client`, which is set before anything is done with it."""

    client: ChatClient

    def __init__(self, view: ChatView) -> None:
        self._view = view
        self._shown: dict[str, int] = {}
        """Of each conversation the last seq shown."""
        self._current: str | None = None
        self._told: dict[str, str] = {}
        """Of each conversation what was said of it: that it is one's own (`mine`), or waits for an agent (`waits`)."""
        self._welcomed = False
        self._missed_ms: int | None = None
        """When the absence began of which was told."""

    def entry(self, id: str, entry: Frame) -> None:
        """An entry came."""
        self._view.heard(entry)
        if entry["seq"] > self._shown.get(id, 0):
            self._show(id, entry)
            self._say_if_given(id, entry)

    def _say_if_given(self, id: str, entry: Frame) -> None:
        """A conversation that comes into an agent's hands is said to be theirs, and how to turn to it."""
        me = self._view.me
        if "conversation" not in entry or me["role"] != "agent":
            return
        if entry["conversation"]["agent_id"] != me["id"]:
            self._told.pop(id, None)
        elif self._told.get(id) != "mine":
            self._told[id] = "mine"
            if id != self._current:
                self._view.conversations([entry["conversation"]], waiting=False)

    def _show(self, id: str, entry: Frame, *, outdated: bool = False) -> None:
        self._shown[id] = max(entry["seq"], self._shown.get(id, 0))
        name = self.client.conversations.get(id, {}).get("buyer_name", id)
        self._view.entry(entry, None if id == self._current else name, outdated=outdated)

    def event(self, frame: Frame) -> None:
        """Something other than an entry came."""
        self._view.heard(frame)
        match frame["type"]:
            case "welcome":
                self._view.me = frame["participant"]
                if self._welcomed:
                    self._view.hint("Connected again.")
                    self._say_what_there_is(frame)
                self._welcomed = True
            case "conversation":
                self._say_if_waiting(frame)
            case "bye":
                self._view.hint("The gateway goes away; connecting to another …")

    def _say_if_waiting(self, frame: Frame) -> None:
        """Everybody at the desk is told of a conversation that nobody has; once, whatever is written in it."""
        id = frame["conversation_id"]
        if frame.get("group") != "unassigned":
            if self._told.get(id) == "waits":
                del self._told[id]
        elif self._told.get(id) != "waits":
            self._told[id] = "waits"
            self._view.conversations([frame], waiting=True)

    def _say_what_there_is(self, welcome: Frame) -> None:
        """What was missed, what is an agent's, and what waits at the desk: as far as it was not said before."""
        missed = welcome.get("missed")
        if missed is not None and missed["from_ms"] != self._missed_ms:
            self._missed_ms = missed["from_ms"]
            self._view.missed(missed)
        for what, conversations in (("mine", welcome["conversations"]), ("waits", welcome["waiting"])):
            if what == "waits" or welcome["participant"]["role"] == "agent":
                new = [one for one in conversations if self._told.get(one["conversation_id"]) != what]
                self._told.update((one["conversation_id"], what) for one in new)
                self._view.conversations(new, waiting=what == "waits")

    async def begin(self) -> None:
        """Say who one is and what there is to do."""
        me = self.client.welcome["participant"]
        self._view.hint(f"You are {me['name']} ({me['role']} {me['id']}). /help lists what you can type.")
        if me["role"] != "buyer":
            self._say_what_there_is(self.client.welcome)
            return
        self._current = conversation_id(me["shop_id"], me["id"])
        if self._current in self.client.conversations:
            await self._page(self._current, _PAGE)

    async def follow(self, typed: AsyncIterator[str]) -> None:
        """Do what is typed, until its end or /quit. Raises Refused."""
        async for text in typed:
            try:
                line = read_line(text)
                if line is not None and line.what == "quit":
                    return
                if line is not None:
                    await self._do(line)
            except BadLine as bad:
                self._view.hint(str(bad))
            except CommandFailed as failed:
                self._view.problem(failed.problem)
            except TimeoutError:
                self._view.hint(
                    "No answer from the gateway. It may have been done all the same: look before repeating."
                )

    async def _do(self, line: Line) -> None:
        client = self.client
        match line.what:
            case "help":
                self._view.help()
            case "open":
                await self._turn_to(self._conversation(line.words[0]), client.open(line.words[0]))
            case "use":
                await self._turn_to(self._conversation(line.words[0]))
            case "say":
                await client.say(self._here(), line.words[0])
            case "orders":
                self._view.orders(await client.command("orders", conversation_id=self._here()))
            case "quote":
                self._view.quote(await client.quote(self._here(), line.words[0]))
            case "propose":
                wish = Proposing.of(line)
                await client.propose(self._here(), wish.order_id, wish.changes, waive_difference=wish.waive)
            case "agree" | "reject":
                comment = line.words[0] if line.words else None
                await client.answer(await self._newest_card(), line.what, comment=comment)
            case "remind":
                await client.remind(await self._newest_card())
            case "withdraw":
                await client.withdraw(await self._newest_card())
            case "transfer":
                await client.transfer(self._here(), line.words[0])
            case "close":
                await client.close_conversation(self._here())
            case "suspend":
                await client.be("suspended")
                self._view.hint("You get no new conversations, until /resume.")
            case "resume":
                await client.be("online")
                self._view.hint("You get new conversations.")
            case "list":
                self._view.desk(await client.list_conversations())
            case "history":
                await self._page(self._here(), 50, again=True)

    def _here(self) -> str:
        if self._current is None:
            raise BadLine("In which conversation? /open BUYER, or /use one of yours.")
        return self._current

    def _conversation(self, named: str) -> str:
        """A conversation by its id or its buyer's."""
        return named if "." in named else conversation_id(self._view.me["shop_id"], named)

    async def _turn_to(self, id: str, first: Awaitable[Any] | None = None) -> None:
        """Make it the current conversation, unless `first` fails or there is none such. Raises CommandFailed."""
        before, self._current = self._current, id
        try:
            if first is not None:
                await first
            self._view.hint(f"— {id} —")
            await self._page(id, _PAGE)
        except CommandFailed:
            self._current = before
            raise

    async def _page(self, id: str, limit: int, *, again: bool = False) -> None:
        self._show_page(id, await self.client.history(id, limit=limit), again=again)

    def _show_page(self, id: str, page: Frame, *, again: bool = False) -> None:
        """The entries of a page; those shown before only if `again`. A card is drawn where it is as it is now."""
        self._view.heard(page)
        newest = {entry["card"]["proposal_id"]: entry["seq"] for entry in page["entries"] if "card" in entry}
        shown = 0 if again else self._shown.get(id, 0)
        for entry in page["entries"]:
            if entry["seq"] > shown:
                outdated = "card" in entry and newest[entry["card"]["proposal_id"]] != entry["seq"]
                self._show(id, entry, outdated=outdated)

    async def _newest_card(self) -> dict[str, Any]:
        """The waiting card of this conversation, or else the last one, about which the gateway has the last word."""
        here = self._here()
        page = await self.client.history(here, limit=200)
        cards = {entry["card"]["proposal_id"]: entry["card"] for entry in page["entries"] if "card" in entry}
        if not cards:
            raise BadLine("There is no card here yet.")
        newest_first = list(reversed(cards.values()))
        return next((card for card in newest_first if card["state"] == "pending"), newest_first[0])
