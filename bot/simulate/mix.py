"""What becomes of the cards of a simulation, in shares: `agree=60,reject=20,ignore=10,refund=10`."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Answer(StrEnum):
    """What happens to a card once the buyer sees it."""

    AGREE = "agree"
    REJECT = "reject"
    IGNORE = "ignore"
    """Nobody does anything: it times out."""
    REFUND = "refund"
    """The order moves by itself: a paid one gets a refund (and can't change any more), an unpaid one is paid."""
    WITHDRAW = "withdraw"
    TRANSFER = "transfer"
    """The agent hands the conversation to a colleague, then the buyer agrees."""


class BadMix(ValueError):
    """The shares can't be read; the message says which, and what they may be."""


@dataclass(frozen=True, slots=True)
class Mix:
    """Relative shares; they need not add up to 100."""

    shares: Mapping[Answer, int]

    def draw(self, chance: random.Random) -> Answer:
        """One answer."""
        return chance.choices(list(self.shares), list(self.shares.values()))[0]

    def has(self, answer: Answer) -> bool:
        """Whether it can be drawn."""
        return self.shares.get(answer, 0) > 0


def read_mix(text: str) -> Mix:
    """`answer=share,…`. Raises BadMix."""
    shares: dict[Answer, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, share = (word.strip() for word in part.partition("="))
        if not equals:
            raise BadMix(f"{part!r} is not of the form answer=share, such as agree=60")
        if name not in set(Answer):
            raise BadMix(f"{part!r}: there is no answer {name!r}, but {', '.join(Answer)}")
        if not (share.isascii() and share.isdigit()):
            raise BadMix(f"{part!r}: the share must be a whole number, 0 or more (got {share!r})")
        if Answer(name) in shares:
            raise BadMix(f"{part!r}: {name} has a share already")
        shares[Answer(name)] = int(share)
    if not any(shares.values()):
        raise BadMix(f"{text!r}: at least one share must be more than 0")
    return Mix(shares)
