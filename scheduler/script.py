"""The one thing timers and stores need of Redis: to run a Lua script in one slot."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.exceptions import NoScriptError


class Script:
    """A Lua script and its SHA-1, by which servers know it.

    `durable`: its reply promises something to whoever acts on it, so where replicas are asked for the reply is given
    once they have what was written. Such a script writes whenever its reply is a promise, also when it finds everything
    as it should be: a server waits for the writes of this connection only.

    Durable is what a command's `ok` speaks of (a commit, a reply given again, a read mark, a quick reply, what an agent
    chose to be), what another slot's decision relies on (a timer armed before its commit; a change of an order, whose
    result is committed next), and the move of an order. Not durable is what only reads; what is done again when it was
    lost (a claim, `done`, `disarm`, an acknowledged event); and what is derived, and repaired from the documents or by
    the next lease (the desk's places, presence, the index of proposals, people's names, an import).
    """

    def __init__(self, text: str, *, durable: bool = False) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self.durable = durable

    @classmethod
    def beside(cls, module_file: str, name: str, *, durable: bool = False) -> "Script":
        """The script `<name>.lua` in the folder of the module whose `__file__` is given."""
        return cls((Path(module_file).parent / f"{name}.lua").read_text(encoding="utf-8"), durable=durable)


class Scripts(Protocol):
    """Whatever can run a script: every key in one slot, replies as Redis gives them (bytes, int, list, None)."""

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        """The script's reply. Raises redis.exceptions.RedisError; after a lost connection its fate is unknown."""
        ...


class ClientScripts:
    """`Scripts` over any redis.asyncio client (standalone, Sentinel, Cluster, fakeredis)."""

    def __init__(self, client: "Redis") -> None:
        self._client = client

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        """See `Scripts.run`. A server that does not know the script gets it whole, once."""
        try:
            return await self._client.evalsha(script.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await self._client.eval(script.text, len(keys), *keys, *args)
