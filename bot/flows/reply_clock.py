"""How long a buyer waits for a reply: a warning, then the overdue mark, by a durable timer of the conversation.

Law: since when a buyer waits is a mark of the conversation, written with their message; the timer only makes sure that
somebody looks, and what is said is said once.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from bot.conversation import Conversation
from bot.documents.store import Commit, Loaded
from bot.entry import Entry
from bot.flows.deciding import Parts, decide
from bot.flows.timer_ids import reply_timer
from bot.marks import NOW, Mark, Marks
from cards.model import to_ms


class Step(NamedTuple):
    """What is to be told now (`reply_warning`, `reply_overdue` or nothing), and when to look again, if ever."""

    notice: str | None
    again: datetime | None


NOTHING_DUE = Step(None, None)


def next_step(marks: Marks, now: datetime, warning: timedelta, overdue: timedelta) -> Step:
    """What is due by these marks, `warning` and `overdue` after the buyer's first message without a reply."""
    if marks.asked is None or marks.overdue:
        return NOTHING_DUE
    if now >= marks.asked + overdue:
        return Step("reply_overdue", None)
    if now < marks.asked + min(warning, overdue):
        return Step(None, marks.asked + min(warning, overdue))
    return Step(None if marks.warned else "reply_warning", marks.asked + overdue)


_MARK = {"reply_warning": "warned", "reply_overdue": "overdue"}


class ReplyClock:
    """Starts and carries the clock of each conversation."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def start(self, conversation_id: str, now: datetime) -> None:
        """Arm the timer, before the commit that makes the buyer wait (anew) since `now`; it forgets earlier times."""
        await self._parts.timers.arm(reply_timer(conversation_id), now + self._first)

    @property
    def _first(self) -> timedelta:
        return min(self._parts.settings.reply_warning, self._parts.settings.reply_overdue)

    async def fired(self, conversation_id: str) -> None:
        """The timer fired: tell the agent what is due, and look again when the next thing is."""
        await decide(lambda: self._fired(conversation_id))

    async def _fired(self, conversation_id: str) -> None:
        parts = self._parts
        loaded = await parts.load(conversation_id)
        if (conversation := loaded.conversation) is None:
            return
        step = next_step(loaded.marks, loaded.now, parts.settings.reply_warning, parts.settings.reply_overdue)
        if step.notice is not None and loaded.marks.asked is not None:
            await self._tell(loaded, conversation, step.notice, to_ms(loaded.marks.asked))
        # Told before it is armed again: until then the timer is only leased, and fires again if this fails.
        if step.again is not None:
            await parts.timers.arm(reply_timer(conversation_id), step.again)

    async def _tell(self, loaded: Loaded, conversation: Conversation, notice: str, asked_ms: int) -> None:
        said = _MARK[notice]
        await self._parts.store.commit(
            Commit(
                conversation.id,
                loaded.conversation_version,
                entries=[
                    Entry(
                        notice=notice,
                        notice_to=conversation.agent_id,
                        params={"buyer": conversation.buyer_name, "asked_ms": str(asked_ms)},
                    )
                ],
                # Nobody has replied meanwhile, and no other gateway, whose timer it was as well, has said it.
                marks=[Mark("must", "asked", asked_ms), Mark("must", said), Mark("set", said, NOW)],
                channels=conversation.channels,
            )
        )
