"""The pages as a browser gets them: what is served, with which headers, and that nothing else is reachable."""

import asyncio
import json
import re
import runpy
import sys
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bot import pages
from bot.pages import PAGES, Pages, content_security_policy

WEB = Path(pages.__file__).parent / "web"
SERVED = sorted(
    path.relative_to(WEB).as_posix()
    for path in WEB.rglob("*")
    if path.suffix in {".html", ".js", ".css", ".json", ".svg"}
)
DOCUMENTS = sorted(path.name for path in WEB.glob("*.html"))
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def browser() -> AsyncIterator[Client]:
    app = web.Application()
    app.add_routes(Pages(["https://shop.example"]).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_every_file_is_served_with_its_type(browser: Client) -> None:
    for name in SERVED:
        response = await browser.get(f"/web/{name}")
        assert response.status == 200, name
        assert response.content_type == TYPES[Path(name).suffix], name
        assert response.charset == "utf-8"
        if not name.endswith((".js", ".css")):
            assert await response.read() == (WEB / name).read_bytes()


@pytest.mark.parametrize("name", [name for name in SERVED if name.endswith((".js", ".css"))])
async def test_scripts_and_styles_go_without_comments_and_indentation(browser: Client, name: str) -> None:
    """That they still do the same is what tests/web shows: its pages run on them."""
    source, served = (WEB / name).read_text(), await (await browser.get(f"/web/{name}")).text()
    assert len(served) < len(source)
    assert "/*" not in served
    assert "  " not in served
    assert not re.search(r"\bvoid\b", re.sub(r"/\*.*?\*/", "", source, flags=re.S)), "what follows it would be left out"


async def test_where_nothing_shortens_them_they_are_served_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minify", None)
    app = web.Application()
    app.add_routes(runpy.run_path(pages.__file__)["Pages"]().routes())
    async with TestClient(TestServer(app)) as client:
        for name in SERVED:
            assert await (await client.get(f"/web/{name}")).read() == (WEB / name).read_bytes(), name


async def test_how_another_site_uses_the_client_is_told_in_its_source(browser: Client) -> None:
    assert "new ChatClient({" in (WEB / "chat.js").read_text().partition("*/")[0]


@pytest.mark.parametrize(("path", "name"), PAGES.items())
async def test_a_page_has_an_address_of_its_own(browser: Client, path: str, name: str) -> None:
    response = await browser.get(path)
    assert (response.status, response.content_type) == (200, TYPES[Path(name).suffix])
    assert await response.read() == (WEB / name).read_bytes()


@pytest.mark.parametrize("path", ["/chat", "/web/chat.js", "/web/no-such-file.js"])
async def test_headers_that_keep_a_page_to_itself(browser: Client, path: str) -> None:
    headers = (await browser.get(path)).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'self' https://shop.example"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-cache"


async def test_icons_are_there_offline_too(browser: Client) -> None:
    """A page uses the file again for each icon that it draws: asked each time, it would go with the connection."""
    assert (await browser.get("/web/icons.svg")).headers["Cache-Control"] == "max-age=600"


def test_without_other_origins_only_our_own_may_frame_a_page() -> None:
    assert "frame-ancestors 'self';" in content_security_policy([])


async def test_what_a_browser_has_is_not_sent_again(browser: Client) -> None:
    first = await browser.get("/web/chat.js")
    again = await browser.get("/web/chat.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["Content-Security-Policy"] == first.headers["Content-Security-Policy"]
    several = await browser.get("/web/chat.js", headers={"If-None-Match": f'"another", {first.headers["ETag"]}'})
    assert several.status == 304
    other = await browser.get("/web/chat.js", headers={"If-None-Match": '"another"'})
    assert other.status == 200
    assert (await browser.get("/web/dom.js")).headers["ETag"] != first.headers["ETag"]


@pytest.mark.parametrize(
    "path",
    [
        "/web/",
        "/web/types.d.ts",
        "/web/../pages.py",
        "/web/texts/../../pages.py",
        "/web/%2e%2e/pages.py",
        "/web/..%2fpages.py",
        "/web/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/web//etc/passwd",
        "/web/./chat.js",
        "/web/chat.js%00.css",
        "/web/..\\pages.py",
        "/chat/",
        "/chat.html",
        "/",
    ],
)
async def test_nothing_else_is_reachable(browser: Client, path: str) -> None:
    """Sent byte by byte, since clients put such paths in order before they ask."""
    host, port = browser.server.host, browser.server.port
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.split(b" ")[1] == b"404"


async def test_only_reading(browser: Client) -> None:
    assert (await browser.post("/chat")).status == 405
    assert (await browser.head("/chat")).status == 200


class Document(HTMLParser):
    """What a page loads, and whatever its policy would forbid."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.forbidden: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loads += [given[name] or "" for name in ("src", "href") if name in given]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.forbidden.append(tag)
        self.forbidden += [name for name in given if name == "style" or name.startswith("on")]


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_a_page_loads_only_what_is_here_and_allowed(browser: Client, name: str) -> None:
    document = Document((WEB / name).read_text())
    assert document.forbidden == []
    assert document.loads
    for url in document.loads:
        assert (await browser.get(url)).status == 200, url


@pytest.mark.parametrize("name", [name for name in SERVED if name.endswith(".js")])
async def test_a_module_imports_only_what_is_here(browser: Client, name: str) -> None:
    served = await (await browser.get(f"/web/{name}")).text()
    for imported in re.findall(r"(?:\}from|import\(?)\"(.+?)\"", served):
        assert imported.startswith("./"), imported
        assert (await browser.get(f"/web/{imported[2:]}")).status == 200, imported
    for path in re.findall(r"\"(/web/[\w.-]+)\"", served):
        assert (await browser.get(path)).status == 200, path


def test_both_languages_say_the_same_things() -> None:
    chinese, english = (json.loads((WEB / "texts" / f"{locale}.json").read_text()) for locale in ("zh-CN", "en"))
    assert chinese.keys() == english.keys()
    for key, text in chinese.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", english[key])), key
