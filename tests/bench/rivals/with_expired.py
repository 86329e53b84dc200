"""The plain way: one key for each timer, which expires when it is due, and somebody who hears `expired` events.

The server runs with `hz 100`, ten times the default, so that it looks for expired keys as often as it can. An event is
told to whoever listens at that instant, and lost if nobody does.
"""

import work
from redis.asyncio import Redis


async def arm(url: str, dues: list[int]) -> None:
    """A thousand keys in one trip."""
    async with Redis.from_url(url) as redis:
        for start in range(0, len(dues), 1000):
            async with redis.pipeline(transaction=False) as pipe:
                for number, due_ms in enumerate(dues[start : start + 1000], start):
                    pipe.set(f"timer:{number}:{due_ms}", "", pxat=due_ms)
                await pipe.execute()


async def fire(url: str, fired: work.Fired) -> None:
    """Subscribed to the events of database 0."""
    async with Redis.from_url(url, socket_timeout=None) as redis, redis.pubsub() as subscriber:
        await redis.config_set("notify-keyspace-events", "Ex")
        await subscriber.subscribe("__keyevent@0__:expired")
        async for message in subscriber.listen():
            if message["type"] == "message":
                fired(float(message["data"].rpartition(b":")[2]))


if __name__ == "__main__":
    work.main(arm, fire)
