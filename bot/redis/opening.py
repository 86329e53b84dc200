"""Opening one of redis-py's connections. Law: whatever fails or is cancelled on the way leaves nothing open."""

import contextlib

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError


async def opened(connection: AbstractConnection) -> AbstractConnection:
    """The same connection: connected, greeted and authenticated. Raises RedisError, OSError, TimeoutError."""
    try:
        await connection.connect()  # type: ignore[no-untyped-call]
    except BaseException:
        with contextlib.suppress(RedisError, OSError):
            await connection.disconnect(nowait=True)
        raise
    return connection
