"""The server's time, as last heard: every deadline is measured on Redis's clock, never on a gateway's."""

import time
from datetime import datetime

from cards.model import from_ms, to_ms

_FORGET_AFTER = 30.0
"""Seconds that a reading counts."""


class ServerClock:
    """Estimates Redis `TIME` between two readings.

    A reading is at most a round trip old when it arrives, so of recent ones the most advanced is the truest; after 30 s
    it is forgotten, so that clocks may drift.
    """

    def __init__(self) -> None:
        self._ahead_ms = time.time() * 1000 - time.monotonic() * 1000
        self._since = float("-inf")

    def heard(self, server_now: datetime) -> None:
        """Take note of a reading that just arrived."""
        here = time.monotonic()
        ahead_ms = to_ms(server_now) - here * 1000
        if ahead_ms > self._ahead_ms or here - self._since > _FORGET_AFTER:
            self._ahead_ms, self._since = ahead_ms, here

    def now_ms(self) -> int:
        """Unix ms on the server's clock."""
        return int(time.monotonic() * 1000 + self._ahead_ms)

    def now(self) -> datetime:
        """An instant on the server's clock."""
        return from_ms(self.now_ms())
