"""What every test may ask for: a real server, a real cluster, either server, a town, and the third-party shop.

The servers run for the whole session, without bound to a test's event loop, and are flushed for each test that asks.
"""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fakeredis import FakeAsyncRedis, FakeServer
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from bot.embedded.cluster import EmbeddedCluster
from bot.embedded.server import Embedded
from tests.flows.scene import Scene
from tests.flows.town import Town, a_town
from tests.standing import standing

# Where an assertion in a module that tests share fails, the values are shown as in a test.
pytest.register_assert_rewrite("tests.bot", "tests.faults", "tests.flows.ending", "tests.web")

TAU_RETAIL = Path(__file__).parents[2] / "shared" / "data" / "tau-retail"


def _flush(url: str) -> None:
    with Redis.from_url(url) as client:
        client.flushall()
        client.config_resetstat()


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A temporary folder whose path leaves room for unix sockets, which pytest's own may not."""
    folder = Path(tempfile.mkdtemp(prefix="assent-test-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def valkey_server(short_folder: Path) -> Iterator[Embedded]:
    """The session's real server. Ask for `valkey_url`, which is empty, unless it is the process you want."""
    with standing(Embedded(short_folder / "valkey", fsync="no")) as server:
        yield server


@pytest.fixture
def valkey_url(valkey_server: Embedded) -> str:
    """The URL of a real, empty server, shared with the tests before and after."""
    _flush(valkey_server.url)
    return valkey_server.url


@pytest.fixture(scope="session")
def valkey_cluster(short_folder: Path) -> Iterator[EmbeddedCluster]:
    """The session's real cluster of three primaries. Ask for `valkey_cluster_url`, which is empty."""
    with standing(EmbeddedCluster(short_folder / "cluster")) as cluster:
        yield cluster


@pytest.fixture
def valkey_cluster_url(valkey_cluster: EmbeddedCluster) -> str:
    """The `redis+cluster://` URL of a real, empty cluster."""
    for node in valkey_cluster.nodes:
        _flush(node.url)
    return valkey_cluster.url


@pytest.fixture(params=["fakeredis", "valkey"])
def either_server(request: pytest.FixtureRequest) -> str | None:
    """Runs the test twice: None stands for fakeredis, a URL for the real server."""
    url: str | None = None if request.param == "fakeredis" else request.getfixturevalue("valkey_url")
    return url


@pytest.fixture
async def either_redis(either_server: str | None) -> AsyncIterator[AsyncRedis]:
    """Runs the test twice: with an empty fakeredis, and with a client of the real, empty server. Replies are bytes."""
    client = FakeAsyncRedis(server=FakeServer()) if either_server is None else AsyncRedis.from_url(either_server)
    async with client:
        yield client


@pytest.fixture
async def town(valkey_url: str) -> AsyncIterator[Town]:
    """A town on the real server, without a gateway yet."""
    async with a_town(valkey_url) as town:
        yield town


@pytest.fixture
async def scene(town: Town) -> Scene:
    """An agent on one gateway, a buyer on another, with settings as they ship."""
    return await town.scene()


@pytest.fixture(scope="session")
def tau_retail() -> Path:
    """The folder of the third-party shop (shop.json, changes.jsonl); skips the test where it is absent."""
    if not (TAU_RETAIL / "shop.json").is_file():
        pytest.skip(f"no third-party shop data at {TAU_RETAIL}")
    return TAU_RETAIL
