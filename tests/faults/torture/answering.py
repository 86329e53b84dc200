"""What becomes of a card once the buyer sees it: answers of all kinds, in time and late, alone and against others.

Law: a plot does what it does and returns; whoever plays it then waits for the card's end, which may be its deadline.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from bot.transcript import Frame
from tests.faults.torture.chat import Chat
from tests.faults.torture.life import live
from tests.faults.torture.recorder import RecordingClient
from tests.faults.torture.sheets import Sheet


@dataclass(frozen=True, slots=True)
class Case:
    """A card as the buyer's first device was shown it, and the order it is about."""

    chat: Chat
    sheet: Sheet
    card: Frame

    async def click(self, action: str, device: RecordingClient | None = None, *, version: int = 0) -> Frame:
        """On any device; `version` is added to that of the card."""
        comment = f"({self.card['proposal_id']})" if action == "reject" and self.chat.chance.random() < 0.5 else None
        card = {**self.card, "version": self.card["version"] + version}
        return await live((device or self.chat.device()).answer(card, action, comment=comment))

    async def withdraw(self) -> Frame:
        """The current agent takes the card back."""
        return await self.chat.as_agent(lambda agent: agent.withdraw(self.card))

    async def remind(self) -> Frame:
        """The current agent reminds of it."""
        return await self.chat.as_agent(lambda agent: agent.remind(self.card))

    async def until_deadline(self, seconds: float) -> None:
        """Wait until so many seconds after the deadline, or before it."""
        await asyncio.sleep(max(0.0, self.card["deadline_ms"] / 1000 - time.time() + seconds))

    def either(self) -> str:
        """One of the two buttons."""
        return self.chat.chance.choice(["agree", "reject"])


Plot = Callable[[Case], Awaitable[object]]


async def agree(case: Case) -> None:
    await case.click("agree")


async def reject(case: Case) -> None:
    await case.click("reject")


async def ignore(case: Case) -> None:
    """It times out."""


async def withdraw(case: Case) -> None:
    await case.withdraw()


async def click_late(case: Case) -> None:
    """Around the deadline, or after it."""
    await case.until_deadline(case.chat.chance.choice([-0.05, 0.0, 0.02, 0.5]))
    await case.click(case.either())


async def withdraw_at_the_click(case: Case) -> None:
    await asyncio.gather(case.withdraw(), case.click(case.either()))


async def devices_at_odds(case: Case) -> None:
    """Agree on one, reject on the other, in the same instant."""
    first, last = case.chat.devices[0], case.chat.devices[-1]
    await asyncio.gather(case.click("agree", first), case.click("reject", last))


async def devices_at_one(case: Case) -> None:
    """All of them click the same, in the same instant."""
    action = case.either()
    await asyncio.gather(*[case.click(action, device) for device in case.chat.devices])


async def click_a_version_that_never_was(case: Case) -> None:
    await case.click("agree", version=1)
    await case.click("reject")


async def click_again(case: Case) -> None:
    """And change one's mind, when it is too late for that."""
    await case.click("agree")
    await case.click("reject")
    await case.withdraw()


async def hand_over(case: Case) -> None:
    """The agent who is told of the outcome is another than the one who asked."""
    await case.chat.transfer()
    await case.click(case.either())


async def hand_over_at_the_click(case: Case) -> None:
    await asyncio.gather(case.chat.transfer(), case.click(case.either()))


async def hand_over_and_forget(case: Case) -> None:
    await case.chat.transfer()


async def remind(case: Case) -> None:
    """Twice in the same quarter of its time, of which one is too many."""
    await case.remind()
    await case.remind()
    await case.click("agree")


async def ask_again(case: Case) -> None:
    """For an order that waits for its buyer."""
    wishes, waive = case.sheet.wishes(case.chat.chance)
    await case.chat.as_agent(
        lambda agent: agent.propose(case.chat.id, case.sheet.id, [*wishes], waive_difference=waive)
    )
    await case.click("reject")


async def order_moves(case: Case) -> None:
    if case.chat.can_spare(case.sheet):
        await case.chat.move(case.sheet)
    else:
        await case.click("reject")


async def order_moves_at_the_click(case: Case) -> None:
    await asyncio.gather(order_moves(case), case.click("agree"))


async def cut_at_the_click(case: Case) -> None:
    """Everybody's connection, a moment later."""
    chat = case.chat
    for client in (*chat.devices, *chat.people.agents[chat.agent_id]):
        asyncio.get_running_loop().call_later(chat.chance.random() * 0.03, client.cut)
    await case.click(case.either())


async def nobody_is_there(case: Case) -> None:
    """The buyer comes back when the deadline is over, and clicks what is shown."""
    away = max(0.0, case.card["deadline_ms"] / 1000 - time.time()) + case.chat.chance.random()
    with contextlib.ExitStack() as gone:
        for device in case.chat.devices:
            gone.enter_context(device.away())
        await asyncio.sleep(away)
    await case.click("agree")


async def meddle(case: Case) -> None:
    """Agents click for the buyer, and another agent takes the card back."""
    agents, other = case.chat.people.agents, case.chat.another_agent()
    await live(agents[case.chat.agent_id][0].answer(case.card, "agree"))
    if other != case.chat.agent_id:
        await live(agents[other][0].withdraw(case.card))
    await case.click("reject")


PLOTS: Mapping[Plot, int] = {
    agree: 10,
    reject: 4,
    ignore: 3,
    withdraw: 3,
    click_late: 2,
    withdraw_at_the_click: 2,
    devices_at_odds: 3,
    devices_at_one: 2,
    click_a_version_that_never_was: 1,
    click_again: 2,
    hand_over: 2,
    hand_over_at_the_click: 2,
    hand_over_and_forget: 1,
    remind: 2,
    ask_again: 1,
    order_moves: 1,
    order_moves_at_the_click: 1,
    cut_at_the_click: 1,
    nobody_is_there: 1,
    meddle: 1,
}
"""How often each is played, of all their sum."""
