"""How many commands this process carries out at once, and when those it has no place for shall come again.

Law: whoever is refused is told a turn of their own. Turns follow one another at the pace at which places become free
now, so those who were refused together do not come back together, and the busier it is, the later they come.
"""

import random
import time
from collections.abc import Callable
from typing import Final

from bot.errors import CommandError

SOONEST: Final = 0.1
LATEST: Final = 10.0
"""Seconds until a turn: nobody asks again at once, and nobody waits for longer without having asked how it is now."""
_RECENT: Final = 16
"""What a command takes now is the mean of about so many of the last."""


class Turns:
    """Places for `most` commands. `clock` gives seconds that only grow."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._taken = 0
        self._began = 0.0
        """The sum of the instants at which those under way began: what the mean of their ages is made from."""
        self._took = 0.0
        self._last = 0.0

    @property
    def taken(self) -> int:
        """How many places are taken."""
        return self._taken

    def take(self) -> float:
        """Take a place; give what is returned to `done`. Raises CommandError `busy`, with `retry_after_ms`."""
        now = self._clock()
        if self._taken >= self._most:
            raise CommandError("busy", retry_after_ms=self._next_turn_ms(now))
        self._taken += 1
        self._began += now
        return now

    def done(self, began: float) -> None:
        """The command that began then was answered."""
        self._taken -= 1
        self._began = self._began - began if self._taken else 0.0
        self._took += (self._clock() - began - self._took) / _RECENT

    def pause_ms(self) -> int:
        """When somebody may come again for whom there is a place, but who has too much under way themselves."""
        return _ms(self._pace(self._clock()) * random.uniform(0.5, 1.5))

    def _next_turn_ms(self, now: float) -> int:
        self._last = max(self._last, now) + self._pace(now) / self._most
        if self._last > now + LATEST:
            self._last = now + LATEST
            return _ms(random.uniform(LATEST / 2, LATEST))
        return _ms((self._last - now) * random.uniform(0.9, 1.1))

    def _pace(self, now: float) -> float:
        """What a command takes now, in seconds; when none is answered any more, those under way tell by their age."""
        return max(self._took, now - self._began / self._taken if self._taken else 0.0)


def _ms(seconds: float) -> int:
    """The soonest turns are spread too: many are told one when it has only begun to be busy."""
    return round(1000 * min(LATEST, max(seconds, random.uniform(SOONEST, 3 * SOONEST))))
