"""What a shop's desk says, what the documents say, and what stands in a log, all read where it is kept."""

from dataclasses import dataclass, field

from redis.asyncio import Redis

from bot.conversation import read_conversation
from bot.entry import read_entry
from tests.flows.town import Gateway, Town


@dataclass
class DeskState:
    """Whose each conversation is. `held` are reservations, `placed` what the desk took note of last."""

    inboxes: dict[str, set[str]] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    held: dict[str, str] = field(default_factory=dict)
    placed: dict[str, str] = field(default_factory=dict)


async def by_the_documents(town: Town) -> DeskState:
    """What the desk should say."""
    redis, state = await town.redis(), DeskState()
    for key in await redis.keys(f"chat:{{{town.shop_id}.*}}"):
        version, body = await redis.hmget(key, "v", "b")
        conversation = read_conversation(body.encode())
        state.placed[conversation.id] = f"{version} {conversation.agent_id or ''}"
        if conversation.agent_id:
            state.inboxes.setdefault(conversation.agent_id, set()).add(conversation.id)
        elif conversation.open:
            state.waiting.add(conversation.id)
    return state


async def by_the_desk(town: Town) -> DeskState:
    """What it says."""
    redis, desk = await town.redis(), f"desk:{{{town.shop_id}}}:"
    return DeskState(
        {key.removeprefix(f"{desk}inbox:"): await _members(redis, key) for key in await redis.keys(f"{desk}inbox:*")},
        await _members(redis, f"{desk}waiting"),
        await redis.hgetall(f"{desk}held"),
        await redis.hgetall(f"{desk}placed"),
    )


async def _members(redis: Redis, key: str) -> set[str]:
    return set(await redis.zrange(key, 0, -1))


async def in_order(town: Town, *, limit: int | None = None) -> None:
    """The desk says what the documents say, and nobody has more than `limit` conversations."""
    desk, right = await by_the_desk(town), await by_the_documents(town)
    assert desk == right, f"the desk says {desk}, the documents {right}"
    assert limit is None or all(len(ids) <= limit for ids in right.inboxes.values())


async def log_of(gateway: Gateway, conversation_id: str) -> list[str]:
    """What stands in a log, each entry as its codes and words; the seqs have no gap."""
    page = await gateway.house.store.read_after(conversation_id, 0, 200)
    assert [entry.seq for entry in page.entries] == list(range(1, page.last_seq + 1))
    entries = [read_entry(entry.body) for entry in page.entries]
    return [" ".join(filter(None, (one.system, one.notice, one.card and one.card.state, one.text))) for one in entries]


async def whose(gateway: Gateway, conversation_id: str) -> str | None:
    """Whose a conversation is by its document; it must be open."""
    conversation = (await gateway.house.store.load(conversation_id)).conversation
    assert conversation is not None
    assert conversation.open
    return conversation.agent_id


async def look(gateway: Gateway) -> None:
    """What each renewal of presence does, and the end of what it began."""
    await gateway.house.presence.look("nanshan")
    await gateway.house.parts.background.drain(5)
