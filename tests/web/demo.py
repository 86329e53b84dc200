"""The demo as `make run` starts it, in a process of its own and a folder of its own."""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Demo:
    """Where it runs, and a token for each of its people."""

    url: str
    tokens: dict[str, str]

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, redis_url: str | None = None, pace: float = 1) -> AsyncIterator["Demo"]:
        """Start it, on a server that is there or on a private one; then stop it as Ctrl-C does."""
        environment = {**os.environ, **({"REDIS_URL": redis_url} if redis_url else {})}
        with tempfile.TemporaryDirectory(prefix="assent-demo-", dir="/tmp") as folder:
            options = ("--port", "0", "--json", "--data", folder)
            environment["ASSENT_DEMO_PACE"] = str(pace)
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bot", "demo", *options, stdout=asyncio.subprocess.PIPE, env=environment
            )
            try:
                assert process.stdout is not None
                async with asyncio.timeout(30):
                    facts = json.loads(await process.stdout.readline())
                yield cls(facts["url"], facts["tokens"])
            finally:
                process.terminate()
                await process.communicate()
