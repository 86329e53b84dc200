"""The town of tests/flows, to break things in."""

import contextlib
import logging
from collections.abc import AsyncIterator

import pytest

from tests.flows.town import Town


@pytest.fixture
async def town(valkey_url: str) -> AsyncIterator[Town]:
    """A town without a gateway yet."""
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    async with contextlib.AsyncExitStack() as stack:
        yield Town(valkey_url, stack)
