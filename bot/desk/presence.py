"""Who is here: people are vouched for by the gateways they are connected to, for the length of a lease.

Law: presence is a lease, not a wish. A gateway that died vouches for nobody, and whoever was there is away within the
lease and one renewal of another gateway of the shop.
"""

import asyncio
import contextlib
import logging
import uuid
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import orjson
from redis.exceptions import OutOfMemoryError, RedisError

from bot.desk.keys import desk_key, inbox_key
from bot.documents.directory import people_key
from bot.participant import Participant, Role, desk_channel
from cards.model import from_ms
from scheduler.script import Script, Scripts

log = logging.getLogger(__name__)

_VOUCH, _AGENTS, _PRESENT, _GONE = (Script.beside(__file__, name) for name in ("vouch", "agents", "present", "gone"))
_CHOOSE = Script.beside(__file__, "choose", durable=True)

_LINGER = 2.0
"""Seconds that somebody who left still counts as here: a reloaded page is no coming and going."""
_BATCH = 500
"""People renewed by one call, so that nobody else has to wait for all of them."""


class AgentState(StrEnum):
    """Whether an agent gets new conversations (online), keeps those they have (suspended, 挂起), or is away."""

    ONLINE = "online"
    SUSPENDED = "suspended"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class AgentAtDesk:
    """An agent of a shop, and how many conversations are theirs (or about to be)."""

    id: str
    name: str
    state: AgentState
    conversations: int
    left: datetime | None


@dataclass(frozen=True, slots=True)
class News:
    """What a look at a desk shows: how many conversations wait, and whose agents have been away for too long."""

    waiting: int
    gone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Absence:
    """When an agent was last away: `back` is None as long as they are."""

    left: datetime
    back: datetime | None


class Presence:
    """This process's word for its people. `lease` is how long it counts; agents away for `grace` are `News.gone`.

    `on_news(shop_id, news)` is called after each look at a desk where something is to be done.
    """

    def __init__(
        self,
        scripts: Scripts,
        *,
        lease: timedelta,
        grace: timedelta,
        on_news: Callable[[str, News], Awaitable[None]],
    ) -> None:
        self._scripts = scripts
        self._lease_ms = round(lease.total_seconds() * 1000)
        self._grace_ms = round(grace.total_seconds() * 1000)
        self._on_news = on_news
        self._node = uuid.uuid4().hex
        self._here: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """Shop → person → how many sessions they have here."""
        self._leaving: set[asyncio.Task[None]] = set()

    async def arrive(self, who: Participant) -> None:
        """A session began. Raises RedisError: then it did not. While Redis has no memory left they are here all the
        same, to read; whoever looks sees it from the first renewal that finds room.
        """
        person = _person(who.role, who.id)
        here = self._here[who.shop_id]
        here[person] += 1
        if here[person] == 1:
            try:
                await self._vouch(who.shop_id, [person])
            except OutOfMemoryError as error:
                log.warning("presence of %s not told: %s", person, error)
            except BaseException:
                self._forget(who.shop_id, person)
                raise

    def leave(self, who: Participant) -> None:
        """A session that had arrived is over."""
        person = _person(who.role, who.id)
        self._forget(who.shop_id, person)
        if person not in self._here.get(who.shop_id, ()):
            task = asyncio.create_task(self._leave(who.shop_id, person), name="presence-leave")
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def _forget(self, shop_id: str, person: str) -> None:
        here = self._here[shop_id]
        here[person] -= 1
        if here[person] <= 0:
            del here[person]
        if not here:
            del self._here[shop_id]

    async def _leave(self, shop_id: str, person: str) -> None:
        """Shorten the lease, and look again when it is over, since nobody else may."""
        with contextlib.suppress(RedisError, OSError):
            if person not in self._here.get(shop_id, ()):
                await self._vouch(shop_id, [person], linger=True)
            await asyncio.sleep(_LINGER + 0.05)
            await self.look(shop_id)

    async def run(self) -> None:
        """Renew, three times a lease, until cancelled."""
        pause = self._lease_ms / 3000
        while True:
            await asyncio.sleep(pause)
            for shop_id in list(self._here):
                try:
                    people = list(self._here.get(shop_id, ()))
                    for start in range(0, len(people), _BATCH):
                        # Whoever left while others were renewed must not be called back.
                        batch = [one for one in people[start : start + _BATCH] if one in self._here.get(shop_id, ())]
                        await self._vouch(shop_id, batch)
                except (RedisError, OSError) as error:
                    log.warning("presence of shop %s not renewed: %s", shop_id, error)

    async def look(self, shop_id: str) -> None:
        """See who is away by now, and what waits."""
        await self._vouch(shop_id, [])

    async def _vouch(self, shop_id: str, people: Sequence[str], *, linger: bool = False) -> None:
        lease_ms = round(_LINGER * 1000) if linger else self._lease_ms
        more = True
        while more:
            waiting, gone, more = await self._scripts.run(
                _VOUCH,
                [desk_key(shop_id, "leases")],
                [self._node, lease_ms, "leaving" if linger else "here", self._grace_ms, *people],
            )
            people = ()
        if waiting or gone:
            await self._on_news(shop_id, News(waiting, tuple(id.decode() for id in gone)))

    async def seen_to(self, shop_id: str, agent_id: str) -> None:
        """That agent of `News.gone` has no conversations any more in which somebody waits."""
        keys = [desk_key(shop_id, "gone"), inbox_key(shop_id, agent_id)]
        await self._scripts.run(_GONE, keys, [agent_id, self._grace_ms])

    async def choose(self, shop_id: str, agent_id: str, state: AgentState) -> None:
        """Be `online` or `suspended` from now on."""
        sign = orjson.dumps({"type": "presence", "role": "agent", "id": agent_id, "state": state})
        channel = desk_channel(shop_id)
        await self._scripts.run(_CHOOSE, [desk_key(shop_id, "agents")], [agent_id, state, channel, sign])

    async def chosen(self, shop_id: str, agent_id: str) -> AgentState:
        """What that agent chose to be (`online` unless they did); `offline` while they are not here."""
        _, _, choice, here = await self._present(shop_id, agent_id, [_person(Role.AGENT, agent_id)])
        return _state(choice, here)

    async def agents(self, shop_id: str) -> list[AgentAtDesk]:
        """Everybody who works in that shop."""
        keys = [people_key(shop_id, "agent"), *(desk_key(shop_id, name) for name in ("agents", "present", "left"))]
        rows = await self._scripts.run(_AGENTS, keys, [inbox_key(shop_id, "")])
        return [
            AgentAtDesk(
                id.decode(),
                name.decode(),
                _state(choice, here),
                conversations,
                from_ms(int(left)) if left and not here else None,
            )
            for id, name, choice, here, conversations, left in rows
        ]

    async def present(self, shop_id: str, people: Iterable[tuple[Role, str]]) -> list[bool]:
        """Whether each of these is here."""
        _, _, _, *here = await self._present(shop_id, "", [_person(role, id) for role, id in people])
        return [bool(one) for one in here]

    async def absence(self, shop_id: str, agent_id: str) -> Absence | None:
        """The agent's last absence, None: they never left."""
        left, back, _, here = await self._present(shop_id, agent_id, [_person(Role.AGENT, agent_id)])
        if left is None:
            return None
        return Absence(from_ms(int(left)), from_ms(int(back)) if here and back else None)

    async def _present(self, shop_id: str, agent_id: str, people: list[str]) -> list[bytes | int | None]:
        keys = [desk_key(shop_id, name) for name in ("present", "left", "back", "agents")]
        answer: list[bytes | int | None] = await self._scripts.run(_PRESENT, keys, [agent_id, *people])
        return answer

    async def aclose(self) -> None:
        """Leave no look behind; whoever is still here will be seen to be away when the leases end."""
        for task in list(self._leaving):
            task.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)


def _state(choice: bytes | int | None, here: bytes | int | None) -> AgentState:
    """What an agent is, who is at the desk (1) or not (0)."""
    if not here:
        return AgentState.OFFLINE
    return AgentState(choice.decode()) if isinstance(choice, bytes) else AgentState.ONLINE


def _person(role: Role, id: str) -> str:
    return f"{role}:{id}"
