"""The town and its first scene; tests/faults has them too."""

import contextlib
import logging
from collections.abc import AsyncIterator

import pytest

from tests.flows.scene import Scene
from tests.flows.town import Town


@pytest.fixture
async def town(valkey_url: str) -> AsyncIterator[Town]:
    """A town without a gateway yet."""
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    async with contextlib.AsyncExitStack() as stack:
        yield Town(valkey_url, stack)


@pytest.fixture
async def scene(town: Town) -> Scene:
    """An agent on one gateway, a buyer on another, with settings as they ship."""
    return await town.scene()
