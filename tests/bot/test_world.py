"""The demo's world: time that passes, orders that move, a short window, and who may ask for all that."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bot.app import make_app
from bot.client import CommandFailed
from bot.demo import world as worlds
from bot.demo.stage import Stage
from bot.demo.world import LEFT, World
from bot.errors import CommandError
from bot.pages import Pages
from tests.flows.scene import Scene
from tests.flows.town import Town

Client = TestClient[web.Request, web.Application]
WINDOW_MS = 2 * 3600 * 1000
LEFT_MS = round(LEFT.total_seconds() * 1000)


@pytest.fixture
def world(scene: Scene) -> World:
    return World(scene.town.gateways[0].house, scene.town.shop_id, scene.buyer_id)


@pytest.fixture
async def browser(world: World) -> AsyncIterator[Client]:
    people = {"people": [{"id": "lin-wan", "role": "buyer", "name": "林晚", "token": "hers"}]}
    app = web.Application()
    app.add_routes(Stage(world, lambda: people, "demo.internal", Pages()).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


async def sees_version(scene: Scene, client: Any, proposal: dict[str, Any], version: int) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        card = client.cards(scene.conversation_id)[proposal["proposal_id"]]
        return card if card["version"] == version else None

    card: dict[str, Any] = await client.wait_for(found, 5)
    return card


def near(scene: Scene, client: Any) -> int:
    """How often a client was told that a card's time is nearly over."""
    return sum(entry.get("system", {}).get("code") == "near_deadline" for entry in scene.log(client))


async def test_two_hours_pass_for_both_sides_and_the_card_can_still_be_answered(scene: Scene, world: World) -> None:
    card = await scene.propose()
    assert await world.pass_time() == 1
    for client in (scene.agent, scene.buyer):
        aged = await sees_version(scene, client, card, 2)
        assert aged["state"] == "pending"
        assert aged["deadline_ms"] - aged["created_ms"] == WINDOW_MS  # it was sent earlier, no less was given
        assert 0 < aged["deadline_ms"] - await scene.now_ms() <= LEFT_MS
        await client.wait_for(lambda client=client: near(scene, client) == 1)

    with pytest.raises(CommandFailed) as stale:
        await scene.buyer.answer(card, "agree")
    assert stale.value.code == "old_version"
    assert stale.value.card is not None
    assert (await scene.buyer.answer(stale.value.card, "agree"))["state"] == "applying"
    await scene.sees(scene.agent, card, "agreed")
    await scene.caught_up()
    assert [notice["code"] for notice in scene.notices(scene.agent, card)] == ["agreed"]


async def test_then_its_timer_decides(scene: Scene, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worlds, "LEFT", timedelta(milliseconds=300))
    card = await scene.propose()
    other = await scene.propose("two-lines")
    assert await world.pass_time() == 2
    for proposal in (card, other):
        for client in (scene.agent, scene.buyer):
            await scene.sees(client, proposal, "timed_out")
    await scene.caught_up()
    assert [notice["code"] for notice in scene.notices(scene.agent, card)] == ["timed_out"]
    # The order is free again, and a card that is sent now has all its time.
    again = await scene.propose()
    assert again["deadline_ms"] - again["created_ms"] == WINDOW_MS


async def test_without_a_waiting_card_no_time_passes(scene: Scene, world: World) -> None:
    with pytest.raises(CommandError) as none:
        await world.pass_time()
    assert none.value.code == "no_card_waits"
    card = await scene.propose()
    await world.pass_time()
    aged = await sees_version(scene, scene.buyer, card, 2)
    with pytest.raises(CommandError):
        await world.pass_time()  # its hours have passed already
    await scene.buyer.answer(aged, "reject")
    with pytest.raises(CommandError):
        await world.pass_time()


async def test_a_short_window_is_for_cards_sent_from_then_on(scene: Scene, browser: Client) -> None:
    before = await scene.propose()
    answer = await browser.post("/demo/window", json={"seconds": 30})
    assert (await answer.json())["window_ms"] == 30_000
    short = await scene.propose("two-lines", line_2="moon")
    assert before["deadline_ms"] - before["created_ms"] == WINDOW_MS
    assert short["deadline_ms"] - short["created_ms"] == 30_000
    late = await scene.town.agent("ahe", scene.town.gateways[0])
    assert late.welcome["answer_window_ms"] == 30_000
    await browser.post("/demo/window", json={"seconds": 7200})
    long = await scene.propose("unpaid")
    assert long["deadline_ms"] - long["created_ms"] == WINDOW_MS


@pytest.mark.parametrize(
    ("order", "move", "reason", "moves"),
    [
        ("paid", "refund", "after_sale_opened", ["close"]),
        ("paid", "ship", "order_shipped", ["complete", "refund"]),
        ("unpaid", "pay", "order_paid", ["ship", "refund", "close"]),
    ],
)
async def test_the_world_moves_an_order_and_the_card_is_invalid(
    scene: Scene, browser: Client, order: str, move: str, reason: str, moves: list[str]
) -> None:
    card = await scene.propose(order)
    answer = await browser.post(f"/demo/orders/{scene.order_id(order)}/{move}", json={})
    (moved,) = [one for one in (await answer.json())["orders"] if one["id"] == scene.order_id(order)]
    assert moved["moves"] == moves
    invalid = await scene.sees(scene.buyer, card, "invalid")
    assert invalid["reason"]["code"] == reason


async def test_what_the_stage_is_told(scene: Scene, browser: Client) -> None:
    response = await browser.get("/demo/session", headers={"Accept-Language": "zh-CN"})
    assert response.headers["Cache-Control"] == "no-store"
    told = await response.json()
    assert told["people"][0]["token"] == "hers"
    assert told["window_ms"] == WINDOW_MS
    orders = {order["id"]: order for order in told["orders"]}
    assert orders["lin-wan-paid"]["label"] == "待发货"
    assert orders["lin-wan-unpaid"]["moves"] == ["pay", "close"]
    assert all(order["id"].startswith("lin-wan-") for order in told["orders"])
    # Only the one who looks is given tokens.
    assert "people" not in await (await browser.post("/demo/window", json={"seconds": 7200})).json()


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/demo/orders/lin-wan-shipped/ship", {}, 409, "order_cannot_move"),
        ("/demo/orders/nobodys/ship", {}, 404, "no_such_order"),
        ("/demo/orders/lin-wan-paid/burn", {}, 404, "no_such_move"),
        ("/demo/pass-time", {}, 409, "no_card_waits"),
        ("/demo/window", {"seconds": 0}, 400, "bad_request_body"),
        ("/demo/window", {"seconds": "30"}, 400, "bad_request_body"),
        ("/demo/window", {"seconds": 30, "more": 1}, 400, "bad_request_body"),
        ("/demo/window", [], 400, "bad_request_body"),
        ("/demo/window", {"seconds": 30, "long": "x" * 2000}, 400, "bad_request_body"),
    ],
)
async def test_a_no_is_a_problem_that_says_what_to_do(
    browser: Client, path: str, body: object, status: int, code: str
) -> None:
    response = await browser.post(path, json=body, headers={"Accept-Language": "zh-CN"})
    assert (response.status, response.content_type) == (status, "application/problem+json")
    problem = await response.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["title"]
    assert problem["detail"]


FOREIGN = [
    ({"Host": "rebound.example"}, "demo_elsewhere"),
    ({"Host": "127.0.0.1.rebound.example:8080"}, "demo_elsewhere"),
    ({"Host": "localhost.rebound.example"}, "demo_elsewhere"),
    ({"Host": ""}, "demo_elsewhere"),
    ({"Origin": "https://another.example"}, "demo_foreign"),
    ({"Origin": "null"}, "demo_foreign"),
    ({"Sec-Fetch-Site": "cross-site"}, "demo_foreign"),
    ({"Sec-Fetch-Site": "same-site"}, "demo_foreign"),
]


@pytest.mark.parametrize(("headers", "code"), FOREIGN)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_nobody_elses_page_is_answered(
    browser: Client, world: World, method: str, headers: dict[str, str], code: str
) -> None:
    """Seen to fail with the check of the Host removed, and with that of Origin and Sec-Fetch-Site."""
    path, body = ("/demo/session", None) if method == "GET" else ("/demo/window", {"seconds": 30})
    response = await browser.request(method, path, json=body, headers=headers)
    assert response.status == 403
    assert (await response.json())["code"] == code
    assert (await browser.get("/demo/session")).status == 200
    assert "token" not in await response.text()
    assert (await (await browser.get("/demo/session")).json())["window_ms"] == WINDOW_MS


async def test_our_own_pages_and_this_machines_programs_are(browser: Client) -> None:
    for host in ("localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "192.168.1.5:8080", "demo.internal:80"):
        assert (await browser.get("/demo/session", headers={"Host": host})).status == 200, host
        own = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        assert (await browser.post("/demo/window", json={"seconds": 7200}, headers=own)).status == 200, host
    typed = {"Sec-Fetch-Site": "none"}
    assert (await browser.get("/demo/session", headers=typed)).status == 200
    assert (await browser.post("/demo/window", json={"seconds": 30}, headers=typed)).status == 403


async def test_a_form_of_another_site_cannot_ask(browser: Client) -> None:
    """Forms send only types that need no leave of the server."""
    for content_type in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"):
        response = await browser.post("/demo/window", data=b'{"seconds": 30}', headers={"Content-Type": content_type})
        assert response.status == 400, content_type


async def test_a_gateway_in_production_has_none_of_it(town: Town) -> None:
    gateway = await town.gateway()
    paths = {resource.canonical for resource in make_app(gateway.house).router.resources()}
    assert not any(path == "/" or path.startswith("/demo") for path in paths)
