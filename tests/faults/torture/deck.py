"""Chance in fair shares."""

import random
from collections.abc import Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class Deck(Generic[T]):
    """Draws at random, but everything in its share: a card that was drawn comes again when all others have come."""

    def __init__(self, shares: Mapping[T, int], chance: random.Random) -> None:
        self._shares = shares
        self._chance = chance
        self._left: list[T] = []

    def draw(self) -> T:
        """The next one."""
        if not self._left:
            self._left = [one for one, share in self._shares.items() for _ in range(share)]
            self._chance.shuffle(self._left)
        return self._left.pop()
