"""What every test of the edge asks for: nothing that clients do is ever an ERROR in the log."""

import logging
from collections.abc import Iterator

import pytest

from bot.participant import Role
from tests.flows.gateway.wire import Wire, introduced
from tests.flows.town import Gateway, Scene, Town


@pytest.fixture(autouse=True)
def nothing_logged_at_error(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Bad input is the client's affair; operators are called for bugs of ours only."""
    yield
    errors = [r for when in ("setup", "call") for r in caplog.get_records(when) if r.levelno >= logging.ERROR]
    assert not errors, [record.getMessage() for record in errors]


@pytest.fixture
async def gateway(town: Town) -> Gateway:
    """A gateway with settings as they ship, but for the rate."""
    return await town.gateway()


@pytest.fixture
async def agent(town: Town, gateway: Gateway) -> Wire:
    """The agent xiaoyu, welcomed, on a bare socket."""
    return await introduced(town, Role.AGENT, "xiaoyu")


@pytest.fixture
async def buyer(town: Town, gateway: Gateway) -> Wire:
    """The buyer lin-wan, welcomed, on a bare socket."""
    return await introduced(town, Role.BUYER, "lin-wan")


@pytest.fixture
async def talk(town: Town, gateway: Gateway) -> Scene:
    """The conversation of xiaoyu and lin-wan, opened, both with clients on the one gateway."""
    agent, buyer = await town.agent(), await town.buyer()
    await agent.open("lin-wan")
    return Scene(town, f"{town.shop_id}.lin-wan", "lin-wan", agent, buyer)
