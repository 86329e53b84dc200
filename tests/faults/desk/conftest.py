"""What every test of a killed gateway asks for: one that will be killed."""

from typing import Any

import pytest

from tests.faults.desk.killed import Start
from tests.faults.doomed import Doomed, When, start
from tests.flows.town import Town


@pytest.fixture
def doomed(town: Town) -> Start:
    """Starts a gateway that dies at a moment of one deed."""

    async def start_here(when: When, what: str, **settings: Any) -> Doomed:
        gateway = await start(town.redis_url, when, what, **settings)
        town.stack.push_async_callback(gateway.kill)
        return gateway

    return start_here
