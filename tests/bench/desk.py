"""How long an agent waits for their desk: the welcome and the list, with 500 open conversations and 5,000 closed ones.

    PYTHONPATH=. python tests/bench/desk.py [--open 500] [--closed 5000]

A real Valkey, one gateway in this process, the client in it too. Times are of whole round trips over a socket, as the
client sees them, its own parsing included; each is the median of ten.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bot.app import House
from bot.client import ChatClient
from bot.conversation import Conversation
from bot.documents.store import Commit
from bot.embedded.server import Embedded
from bot.entry import Author, Entry
from bot.marks import ASKED
from bot.participant import Role
from tests.flows.town import Gateway, Town, a_town

_AGENT = "xiaoyu"
_TIMES = 10


async def _fill(house: House, number: int, *, open: bool) -> None:
    """A conversation as weeks of work leave it: a few lines, perhaps closed."""
    buyer, shop = f"{'open' if open else 'closed'}-{number}", "nanshan"
    loaded = await house.store.load(f"{shop}.{buyer}")
    conversation = Conversation(
        id=f"{shop}.{buyer}", shop_id=shop, buyer_id=buyer, buyer_name=f"买家{number}", opened=loaded.now
    ).given_to(_AGENT, "小雨")
    by = Author(role=Role.BUYER, id=buyer, name=f"买家{number}")
    texts = [Entry(author=by, text=f"第{line}句：我想把颜色换成墨绿，可以吗？") for line in range(4)]
    await house.desk.take(shop, conversation.id, _AGENT)
    await house.desk.place(conversation, 1, loaded.now)
    asked = [ASKED] if open and number % 2 else []
    conversation = conversation if open else conversation.given_up(open=False)
    await house.store.commit(Commit(conversation.id, 0, conversation=conversation, entries=texts, marks=asked))
    await house.desk.place(conversation, 2, loaded.now)
    await house.directory.remember(shop, "buyer", buyer, conversation.buyer_name)


async def _median_ms(act: Callable[[], Awaitable[object]]) -> float:
    took = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        await act()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


async def _measure(town: Town, gateway: Gateway, agent: ChatClient) -> None:
    async def come_back() -> None:
        async with a_town(town.redis_url) as elsewhere:
            elsewhere.gateways.append(gateway)
            await elsewhere.agent(_AGENT)

    print(f"connected and welcomed  {await _median_ms(come_back):6.1f} ms")
    for group in ("to_reply", "in_progress", None):
        page = await _median_ms(lambda group=group: agent.list_conversations(group, limit=500))
        first = await _median_ms(lambda group=group: agent.list_conversations(group, limit=50))
        print(f"list {group or 'all':<12} whole {page:6.1f} ms   first 50 {first:6.1f} ms")
    print(f"search by name          {await _median_ms(lambda: agent.list_conversations(search='买家499')):6.1f} ms")


async def main(opened: int, closed: int) -> None:
    with tempfile.TemporaryDirectory(prefix="assent-bench-") as folder:
        server = Embedded(Path(folder))
        await server.start()
        try:
            async with a_town(server.url) as town:
                gateway = await town.gateway(agent_limit=opened + closed)
                for count, is_open in ((closed, False), (opened, True)):
                    for start in range(0, count, 100):
                        numbers = range(start, min(start + 100, count))
                        await asyncio.gather(*[_fill(gateway.house, number, open=is_open) for number in numbers])
                agent = await town.agent(_AGENT)
                print(f"{len(agent.welcome['conversations'])} open conversations, {closed} closed")
                await _measure(town, gateway, agent)
        finally:
            await server.stop()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--open", type=int, default=500)
    options.add_argument("--closed", type=int, default=5000)
    given = options.parse_args()
    asyncio.run(main(given.open, given.closed))
