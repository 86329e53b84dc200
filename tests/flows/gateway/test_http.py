"""What comes over plain HTTP, and from which pages a browser may come."""

import asyncio
import json

import aiohttp
import pytest

from tests.flows.gateway.wire import http_of
from tests.flows.town import Gateway, Town

ORIGIN = "https://shop.example"


@pytest.fixture
async def strict(town: Town) -> Gateway:
    return await town.gateway(allowed_origins=(ORIGIN,))


async def upgrade(gateway: Gateway, origin: str | None) -> tuple[int, dict[str, object]]:
    """The status and body of a websocket's handshake from that origin."""
    headers = {} if origin is None else {"Origin": origin}
    async with aiohttp.ClientSession() as http:
        try:
            async with http.ws_connect(gateway.url, headers=headers) as ws:
                return ws._response.status, {}
        except aiohttp.WSServerHandshakeError as error:
            return error.status, {}


async def raw(gateway: Gateway, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to any bytes."""
    host, port = http_of(gateway).removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        async with asyncio.timeout(15):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await reader.readexactly(int(headers.get("content-length", "0")))
    finally:
        writer.close()
        await writer.wait_closed()
    return int(head[0].split()[1]), headers, body


def handshake(origin: bytes, host: bytes = b"gateway.example") -> bytes:
    return (
        b"GET /ws HTTP/1.1\r\nHost: %b\r\nOrigin: %b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % (host, origin)
    )


async def test_programs_the_gateways_own_page_and_allowed_pages_may_come(strict: Gateway) -> None:
    for origin in (None, http_of(strict), ORIGIN):
        assert (await upgrade(strict, origin))[0] == 101


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://shop.example.evil.example",
        "http://shop.example",
        "https://shop.example:444",
        "https://shop.example/",
        "null",
        "",
        "http://",
        "http://[",
        "x",
        "https://gateway.example@evil.example",
        "https://gateway.example/",
    ],
)
async def test_any_other_page_is_refused_with_the_reason(strict: Gateway, origin: str) -> None:
    """Seen to fail (`http://[`) with origins parsed as URLs: the answer was 500."""
    status, headers, body = await raw(strict, handshake(origin.encode()))
    said = json.loads(body)
    assert (status, headers["content-type"]) == (403, "application/problem+json")
    assert (said["code"], said["status"], said["origin"]) == ("origin_not_allowed", 403, origin)
    assert "ASSENT_ALLOWED_ORIGINS" in said["detail"]


async def test_an_origin_that_is_no_text_is_refused_like_any_other(strict: Gateway) -> None:
    """Seen to fail with the origin quoted as it came: it could not be written, and the answer was 500."""
    status, _, body = await raw(strict, handshake(b"http://\xff\xfe"))
    assert (status, json.loads(body)["code"]) == (403, "origin_not_allowed")


async def test_the_own_page_is_known_by_the_host_that_the_browser_asked_for(strict: Gateway) -> None:
    """Behind a proxy the gateway's own address is not what people see; TLS may end before it."""
    for origin, host in (("https://chat.example", "chat.example"), ("http://10.0.0.7:8080", "10.0.0.7:8080")):
        assert (await raw(strict, handshake(origin.encode(), host.encode())))[0] == 101


async def test_a_plain_get_is_told_that_this_is_a_websocket(gateway: Gateway) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{http_of(gateway)}/ws") as response:
        said = await response.json(content_type="application/problem+json")
        assert (response.status, said["code"]) == (426, "websocket_expected")
        assert response.headers["Upgrade"] == "websocket"


@pytest.mark.parametrize(
    "broken",
    [
        (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 99"),
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", b"Sec-WebSocket-Key: x"),
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
        (b"Upgrade: websocket", b"Upgrade: h2c"),
    ],
)
async def test_half_a_handshake_is_told_so_too(gateway: Gateway, broken: tuple[bytes, bytes]) -> None:
    request = handshake(http_of(gateway).encode(), http_of(gateway).removeprefix("http://").encode()).replace(*broken)
    status, _, body = await raw(gateway, request)
    assert (status, json.loads(body)["code"]) == (426, "websocket_expected")


async def test_nothing_is_asked_for_by_other_methods_or_paths(gateway: Gateway) -> None:
    """R1: there is no other way in."""
    async with aiohttp.ClientSession() as http:
        for method, path, status in (
            ("POST", "/ws", 405),
            ("POST", "/propose", 404),
            ("GET", "/conversations", 404),
        ):
            async with http.request(method, http_of(gateway) + path, json={}) as response:
                assert response.status == status
