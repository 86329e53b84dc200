"""What is broken while people negotiate: the catalogue.

Law: a fault is a context. Entering it breaks something, leaving it mends what was broken and returns when that works
again; so whatever is injected, a run can always come to its quiet end. Faults of one domain never overlap.
"""

import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, get_args

from tests.faults.torture.gateways import Fleet, Moment
from tests.faults.torture.orders import Mood
from tests.faults.torture.stores import Store

Domain = Literal["gateway", "store", "orders"]

HEALTHY_WITHIN = 60.0
"""Seconds in which a store that was broken must take writes again; on a slow machine a server takes some to start."""
SKEW = 60.0
"""Seconds that a gateway's clock is off."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is to break."""

    store: Store
    fleet: Fleet
    chance: random.Random

    @property
    def gateway(self) -> int:
        """Any gateway's number."""
        return self.chance.randrange(len(self.fleet.urls))


Break = Callable[[Scene], AsyncIterator[str]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to break something. `hold` is how long it stays broken, from and to in seconds.

    `needs` names what the store must be able to do (Store.breaks), None: nothing.
    """

    name: str
    domain: Domain
    hold: tuple[float, float]
    needs: str | None
    begin: Callable[[Scene], AbstractAsyncContextManager[str]]


CATALOGUE: dict[str, Fault] = {}


def fault(
    domain: Domain, hold: tuple[float, float], needs: str | None = None, name: str | None = None
) -> Callable[[Break], Break]:
    """Put a breaking and mending function, which yields what it broke, into the catalogue."""

    def enlist(breaks: Break) -> Break:
        called = name or breaks.__name__
        CATALOGUE[called] = Fault(called, domain, hold, needs, contextlib.asynccontextmanager(breaks))
        return breaks

    return enlist


def faults_of(store: Store) -> Iterator[Fault]:
    """Those that this store can suffer, in the catalogue's order."""
    return (fault for fault in CATALOGUE.values() if fault.needs is None or fault.needs in store.breaks)


@fault("gateway", hold=(0.3, 2.0))
async def gateway_killed(scene: Scene) -> AsyncIterator[str]:
    """SIGKILL at any moment."""
    number = scene.gateway
    await scene.fleet.kill(number)
    yield f"gateway {number}"
    await scene.fleet.restart(number)


def _doomed(moment: Moment) -> None:
    @fault("gateway", hold=(0.2, 1.0), name=f"killed_at_{moment}")
    async def killed_at_moment(scene: Scene) -> AsyncIterator[str]:
        number = scene.gateway
        came = await scene.fleet.doom(number, moment)
        yield f"gateway {number}" if came else f"gateway {number}, whose moment did not come"
        await scene.fleet.restart(number)


for _moment in get_args(Moment):
    _doomed(_moment)


@fault("gateway", hold=(0.0, 0.5))
async def rolling_restart(scene: Scene) -> AsyncIterator[str]:
    """SIGTERM, the drain, and a new one in its place; one gateway after the other, as an operator would."""
    await scene.fleet.roll()
    yield "every gateway"


@fault("gateway", hold=(1.0, 6.0))
async def gateway_paused(scene: Scene) -> AsyncIterator[str]:
    """SIGSTOP: it holds its sockets and says nothing, and then goes on with what it believed."""
    number = scene.gateway
    await scene.fleet.pause(number)
    yield f"gateway {number}"
    await scene.fleet.resume(number)


@fault("gateway", hold=(2.0, 4.0))
async def clock_skewed(scene: Scene) -> AsyncIterator[str]:
    """A gateway whose clock is a minute off, either way."""
    number, seconds = scene.gateway, scene.chance.choice([-SKEW, SKEW])
    await scene.fleet.skew(number, seconds)
    yield f"gateway {number}, {seconds:+g} s"
    await scene.fleet.skew(number, 0)


def _deadly(name: str, hold: tuple[float, float], needs: str, kill: Callable[[Scene], Awaitable[str]]) -> None:
    @fault("store", hold=hold, needs=needs, name=name)
    async def server_killed(scene: Scene) -> AsyncIterator[str]:
        yield await kill(scene)
        await scene.store.revive()


# A short time dead: another one may take over, or not.
_deadly("store_killed", (0.1, 2.0), "store_killed", lambda scene: scene.store.kill(scene.chance))
# Dead until another one has taken over.
_deadly("store_gone_for_long", (3.0, 8.0), "failover", lambda scene: scene.store.kill(scene.chance))
# Dead with half a second of writes that no replica has; another one takes over without them.
_deadly("store_killed_ahead", (3.0, 8.0), "failover", lambda scene: scene.store.kill_ahead(scene.chance))


@fault("store", hold=(6.0, 12.0), needs="store_paused")
async def store_paused(scene: Scene) -> AsyncIterator[str]:
    """SIGSTOP for longer than the heartbeats (a subscriber's are two seconds)."""
    await scene.store.pause(scene.chance)
    yield "a server"
    await scene.store.resume()
    await scene.store.healthy(HEALTHY_WITHIN)


@fault("store", hold=(0.5, 2.0), needs="failover")
async def failover(scene: Scene) -> AsyncIterator[str]:
    """Asked for, as an operator does for maintenance."""
    await scene.store.failover()
    yield "asked for"
    await scene.store.healthy(HEALTHY_WITHIN)


@fault("store", hold=(0.0, 0.5), needs="pubsub_cut")
async def pubsub_cut(scene: Scene) -> AsyncIterator[str]:
    """The server closes every pub/sub connection."""
    yield f"{await scene.store.cut_connections('pubsub')} connections"


@fault("store", hold=(0.0, 0.5), needs="connections_cut")
async def connections_cut(scene: Scene) -> AsyncIterator[str]:
    """The server closes every connection of every client."""
    yield f"{await scene.store.cut_connections('normal') + await scene.store.cut_connections('pubsub')} connections"


@fault("store", hold=(0.0, 0.5), needs="bus_cut")
async def bus_cut(scene: Scene) -> AsyncIterator[str]:
    """A Cluster's nodes lose what they were passing on to one another."""
    yield f"{await scene.store.cut_bus()} links"


@fault("store", hold=(1.0, 4.0), needs="memory_full")
async def memory_full(scene: Scene) -> AsyncIterator[str]:
    """What needs memory is refused, whole; everything can be read."""
    await scene.store.fill_memory()
    yield "maxmemory"
    await scene.store.free_memory()
    await scene.store.healthy(HEALTHY_WITHIN)


@fault("store", hold=(4.0, 8.0), needs="no_expired_events")
async def no_expired_events(scene: Scene) -> AsyncIterator[str]:
    """No alarm ever goes off; sweeping alone must do."""
    await scene.store.mute_expiry()
    yield "muted"
    await scene.store.hear_expiry()


def _in_mood(mood: Mood, hold: tuple[float, float]) -> None:
    @fault("orders", hold=hold, name=f"orders_{mood}")
    async def order_system(scene: Scene) -> AsyncIterator[str]:
        await scene.fleet.orders(mood)
        yield mood
        await scene.fleet.orders("well")


for _mood in ("slow", "fails", "twice", "late", "away"):
    _in_mood(_mood, (2.0, 5.0))
