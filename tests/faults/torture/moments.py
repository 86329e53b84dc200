"""The moments at which a gateway kills itself, by SIGKILL: each between two steps that the product must survive apart.

Law: a moment is armed by a file, which the gateway takes away as it dies: it dies of it once, or not at all.
"""

import asyncio
import contextlib
import os
import signal
from contextvars import ContextVar
from pathlib import Path
from typing import Literal, get_args

from bot.app import House
from bot.documents.store import Commit, Committed
from bot.orders.base import ChangeResult
from cards.proposal import FINAL, State

Moment = Literal[
    "consent_and_change",
    "claim_and_timeout",
    "between_commits",
    "armed_and_commit",
    "commit_and_reply",
    "change_and_commit",
]
"""`consent_and_change`: the consent is committed and answered, the order system was not asked.
`claim_and_timeout`: a deadline's timer is claimed, its timeout decided, and not committed.
`between_commits`: the consent is committed, the order system has answered, the outcome is decided and not committed.
`armed_and_commit`: a card's timer is armed, the card is not committed.
`commit_and_reply`: what somebody did to a card is committed, and nobody was told by us.
`change_and_commit`: the order system took the change, and its answer reached nobody."""
MOMENTS: tuple[Moment, ...] = get_args(Moment)

_ANSWERED_WITHIN = 0.05
"""Seconds in which the `ok` of a consent has left, while its background work goes on."""

_timer: ContextVar[bool] = ContextVar("timer", default=False)
"""Whether this is the work of a timer that was claimed here."""


class Doom:
    """The end of this process. `file` names the moment; it is renamed to `<file>.taken` when that has come."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._taken = file.with_name(f"{file.name}.taken")

    def armed(self, moment: Moment) -> bool:
        """Whether this process is to end at that moment."""
        try:
            return self._file.read_text() == moment
        except FileNotFoundError:
            return False

    def comes(self, moment: Moment) -> None:
        """This is that moment: does not return if it is the one."""
        if self.armed(moment):
            with contextlib.suppress(FileNotFoundError):  # the harness no longer waits for it
                self._file.rename(self._taken)
                os.kill(os.getpid(), signal.SIGKILL)

    async def before_change(self) -> None:
        """The order system is to be asked for a change now."""
        if self.armed("consent_and_change"):
            await asyncio.sleep(_ANSWERED_WITHIN)
            self.comes("consent_and_change")

    def after_change(self, result: ChangeResult) -> None:
        """The order system has answered; nobody here knows yet."""
        if result.taken:
            self.comes("change_and_commit")

    def haunt(self, house: House) -> None:
        """Have commits and timers of a house pass by here. Its order system calls `before_change`, `after_change`."""
        commit, fired = house.store.commit, house.timer_fired

        async def passed_by(decision: Commit) -> Committed:
            self._before(decision)
            committed = await commit(decision)
            if decision.changed and decision.command and not committed.repeated:
                self.comes("commit_and_reply")
            return committed

        house.store.commit = passed_by  # type: ignore[method-assign, assignment]

        async def claimed(timer_id: str, due: object) -> None:
            _timer.set(True)
            await fired(timer_id, due)  # type: ignore[arg-type]

        house.watcher._handler = claimed

    def _before(self, decision: Commit) -> None:
        before, after = decision.proposal, decision.changed
        if after is None:
            return
        if before is None:
            self.comes("armed_and_commit")
        elif before.state is State.APPLYING and after.state in FINAL:
            self.comes("between_commits")
        elif after.state is State.TIMED_OUT and _timer.get():
            self.comes("claim_and_timeout")
