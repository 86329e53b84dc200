"""Who is called what: names of agents and buyers, by shop, role and id.

Law: a name is for showing, never for deciding.
"""

from collections.abc import Mapping
from typing import Literal

from scheduler.script import Script, Scripts

PEOPLE = Script.beside(__file__, "people")
REMEMBER = Script.beside(__file__, "remember")
FIND = Script.beside(__file__, "find_people")

BATCH = 500
"""Names kept by one call, so that nobody else has to wait for all of them."""


def people_key(shop_id: str, role: Literal["agent", "buyer"]) -> str:
    """The hash of the names of everybody of that role in a shop."""
    return f"people:{{{shop_id}}}:{role}s"


class Directory:
    """The names known in Redis. Every call may raise redis.exceptions.RedisError."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def name(self, shop_id: str, role: Literal["agent", "buyer"], person_id: str) -> str | None:
        """That person's name, or None for somebody unknown."""
        name = await self._scripts.run(PEOPLE, [people_key(shop_id, role)], [person_id])
        return None if name is None else name.decode()

    async def names(self, shop_id: str, role: Literal["agent", "buyer"]) -> dict[str, str]:
        """Everybody of that role in the shop, id → name."""
        flat = await self._scripts.run(PEOPLE, [people_key(shop_id, role)], [])
        return {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}

    async def find(self, shop_id: str, role: Literal["agent", "buyer"], text: str, most: int) -> list[str]:
        """The ids of people whose name has this text in it, whatever the case of its ASCII letters; `most` at most."""
        found: list[str] = []
        at: bytes | str = "0"
        while len(found) < most:
            at, ids = await self._scripts.run(FIND, [people_key(shop_id, role)], [at, _lower(text)])
            found += [id.decode() for id in ids]
            if at == b"0":
                break
        return found[:most]

    async def remember(self, shop_id: str, role: Literal["agent", "buyer"], person_id: str, name: str) -> None:
        """Keep that person's name, over the one known so far."""
        await self.remember_all(shop_id, role, {person_id: name})

    async def remember_all(self, shop_id: str, role: Literal["agent", "buyer"], names: Mapping[str, str]) -> None:
        """Keep many names, id → name."""
        people = list(names.items())
        for start in range(0, len(people), BATCH):
            pairs = [part for person in people[start : start + BATCH] for part in person]
            await self._scripts.run(REMEMBER, [people_key(shop_id, role)], pairs)


def _lower(text: str) -> str:
    """As Lua's string.lower makes it: only ASCII letters have another case there."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)
