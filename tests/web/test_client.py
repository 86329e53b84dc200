"""The client module on its own, as another site would use it: in a page that has nothing else."""

from typing import Any

import pytest
from playwright.async_api import Page
from redis.asyncio import Redis

from bot.participant import Role
from tests.flows.town import Town
from tests.web.screens import Screens

HERE = "nanshan.lin-wan"


class Client:
    """A ChatClient in a bare page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @classmethod
    async def connect(cls, screens: Screens, town: Town, role: Role, id: str) -> "Client":
        client = cls(await screens.page("/healthz"))
        await client.run(
            """async (token) => {
                const { ChatClient } = await import('/web/chat.js');
                const url = location.origin.replace('http', 'ws') + '/ws';
                window.chat = new ChatClient({ url, token: () => token, store: sessionStorage });
                window.entries = [];
                chat.addEventListener('entry', ({ detail }) => entries.push(detail));
                chat.connect();
            }""",
            town.token(role, id),
        )
        await client.until("chat.state === 'connected'")
        return client

    async def run(self, script: str, *args: Any) -> Any:
        return await self.page.evaluate(script, *args)

    async def until(self, condition: str) -> None:
        await self.page.wait_for_function(condition, timeout=8000)


@pytest.fixture
async def client(screens: Screens, town: Town) -> Client:
    await town.gateway()
    await town.gateway()
    agent = await town.agent()
    await agent.open("lin-wan")
    return await Client.connect(screens, town, Role.BUYER, "lin-wan")


async def test_what_is_said_is_heard_once_on_both_sides(client: Client, town: Town) -> None:
    agent = await town.agent(on=town.gateways[1])
    await client.run("() => chat.load('nanshan.lin-wan')")
    await client.run("() => chat.say('nanshan.lin-wan', '在吗')")
    await agent.wait_for(lambda: "在吗" in [e["text"]["text"] for e in agent.logs.get(HERE, []) if "text" in e], 5)
    await agent.say(HERE, "在的")
    await client.until("chat.log('nanshan.lin-wan').entries.filter((e) => e.text).length === 2")
    seqs = await client.run("() => chat.log('nanshan.lin-wan').entries.map((e) => e.seq)")
    assert seqs == list(range(1, len(seqs) + 1))
    assert await client.run("() => chat.items.get('nanshan.lin-wan').unread") == 1
    assert await client.run("() => chat.items.get('nanshan.lin-wan').line.text") == "在的"


async def test_what_is_said_offline_is_kept_and_said_once(client: Client, town: Town) -> None:
    await client.run("() => chat.load('nanshan.lin-wan')")
    await client.page.context.set_offline(True)
    await client.run("() => { chat.say('nanshan.lin-wan', '离线时写的').catch(() => {}); }")
    await client.until("chat.state === 'offline' && chat.outbox.length === 1")
    await client.page.context.set_offline(False)
    await client.until("chat.state === 'connected' && chat.outbox.length === 0")
    texts = await client.run("() => chat.log('nanshan.lin-wan').entries.filter((e) => e.text).map((e) => e.text.text)")
    assert texts == ["离线时写的"]


async def test_what_is_said_offline_arrives_in_its_order(client: Client, town: Town) -> None:
    """More than the gateway takes at once. Seen to fail where a refused command is sent again by itself."""
    await client.run("() => chat.load('nanshan.lin-wan')")
    await client.page.context.set_offline(True)
    await client.until("chat.state === 'offline'")
    await client.run("() => { for (let n = 0; n < 90; n++) chat.say('nanshan.lin-wan', `第${n}句`).catch(() => {}); }")
    await client.page.context.set_offline(False)
    await client.until("chat.state === 'connected' && chat.outbox.length === 0")
    texts = await client.run("() => chat.log('nanshan.lin-wan').entries.filter((e) => e.text).map((e) => e.text.text)")
    assert texts == [f"第{number}句" for number in range(90)]


async def test_a_log_that_was_left_behind_is_read_again(client: Client, screens: Screens, town: Town) -> None:
    """Of a conversation that somebody else has no entry comes here: the list tells that there is more."""
    other = await Client.connect(screens, town, Role.AGENT, "ahe")
    look = "async () => { await chat.load('nanshan.lin-wan'); return chat.log('nanshan.lin-wan').entries.at(-1).seq; }"
    before = await other.run(look)
    for number in range(60):
        await client.run("(text) => chat.say('nanshan.lin-wan', text)", f"第{number}句")
    assert await other.run(look) == before
    await other.run(
        """async () => {
            const { conversations } = await chat.command('conversations', { search: '林晚' });
            for (const item of conversations) chat.items.set(item.conversation_id, item);
        }"""
    )
    assert await other.run(look) == before + 60
    while await other.run("() => chat.older('nanshan.lin-wan')"):
        pass
    seqs = await other.run("() => chat.log('nanshan.lin-wan').entries.map((e) => e.seq)")
    assert seqs == list(range(1, before + 61))


async def test_a_page_is_read_back_in_pages(client: Client, town: Town) -> None:
    agent = await town.agent()
    for number in range(130):
        await agent.say(HERE, f"第{number}句")
    await client.run("() => chat.load('nanshan.lin-wan')")
    while await client.run("() => chat.older('nanshan.lin-wan')"):
        pass
    seqs = await client.run("() => chat.log('nanshan.lin-wan').entries.map((e) => e.seq)")
    assert seqs == list(range(1, 132))


async def test_a_bad_token_is_refused_for_good(screens: Screens, town: Town) -> None:
    await town.gateway()
    page = await screens.page("/healthz")
    await page.evaluate(
        """async () => {
            const { ChatClient } = await import('/web/chat.js');
            const url = location.origin.replace('http', 'ws') + '/ws';
            window.chat = new ChatClient({ url, token: () => 'nonsense' });
            chat.connect();
        }"""
    )
    await page.wait_for_function("chat.state === 'refused'", timeout=8000)
    assert (await page.evaluate("() => chat.problem.code")) == "token_invalid"


async def test_what_a_failover_lost_of_a_log_goes_from_the_page(client: Client, town: Town) -> None:
    """It was shown, the connection is cut, and other entries have its place by then.

    Seen to fail without the entries' instants in the hello, and (`entry` events) without a look at what was shown.
    """
    agent, redis = await town.agent(), await town.redis()
    await client.run("() => chat.load('nanshan.lin-wan')")
    keys = [f"chat:{{{HERE}}}", f"chat:{{{HERE}}}:log"]
    plain = Redis.from_url(town.redis_url)
    async with plain:
        before = {key: await plain.dump(key) for key in keys}
        for number in range(3):
            await agent.say(HERE, f"lost {number}")
        await client.until("chat.log('nanshan.lin-wan').entries.length === 4")
        await client.page.context.set_offline(True)
        await client.until("chat.state === 'offline'")
        for key, value in before.items():
            await plain.restore(key, 0, value, replace=True)
    for number in range(3):
        await agent.say(HERE, f"since {number}")
    await client.run("() => { entries.length = 0; }")
    await client.page.context.set_offline(False)
    await client.until(
        "chat.state === 'connected' && chat.log('nanshan.lin-wan').entries.at(-1).text?.text === 'since 2'"
    )
    texts = await client.run("() => chat.log('nanshan.lin-wan').entries.filter((e) => e.text).map((e) => e.text.text)")
    assert texts == [f"since {number}" for number in range(3)]
    assert await client.run("() => entries.map(({ entry }) => entry.text?.text)") == texts
    assert await client.run("() => chat.items.get('nanshan.lin-wan').line.text") == "since 2"
    assert await redis.hget(keys[0], "seq") == "4"
