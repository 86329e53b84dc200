"""The pages: the agent's workbench and the buyer's chat, served as they are, only shorter: no build.

Law: nothing comes from elsewhere, no script or style stands in a page, and no text becomes markup: the headers say so,
and browsers enforce it.
"""

import hashlib
import mimetypes
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

try:
    from minify import string as _shorten
except ImportError:  # it is made for few kinds of machines, and nothing but size depends on it

    def _shorten(content_type: str, text: str) -> str:
        return text


_FOLDER = Path(__file__).parent / "web"
_SERVED = frozenset({".html", ".js", ".css", ".json", ".svg"})
_SHORTENED = {".js": "application/javascript", ".css": "text/css"}
"""What goes without comments, white space and long local names."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PAGES = {"/workbench": "workbench.html", "/chat": "chat.html", "/favicon.ico": "icon.svg"}


def content_security_policy(frame_ancestors: Iterable[str]) -> str:
    """Scripts, styles and connections of this origin only; framed by this origin and those named, nobody else."""
    ancestors = " ".join(["'self'", *frame_ancestors])
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "connect-src 'self'",
            "frame-src 'self'",
            f"frame-ancestors {ancestors}",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    content_type: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> "_File":
        text = path.read_text("utf-8")
        body = (_shorten(_SHORTENED[path.suffix], text) if path.suffix in _SHORTENED else text).encode()
        content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return cls(body, content_type, hashlib.sha256(body).hexdigest()[:32])


class Pages:
    """The files of bot/web, read once. `origins` may show the pages in a frame of theirs."""

    def __init__(self, origins: Iterable[str] = ()) -> None:
        self._files = {
            path.relative_to(_FOLDER).as_posix(): _File.read(path)
            for path in sorted(_FOLDER.rglob("*"))
            if path.suffix in _SERVED
        }
        self._headers = {
            "Content-Security-Policy": content_security_policy(origins),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cache-Control": "no-cache",
        }

    def routes(self) -> list[web.RouteDef]:
        """The pages, and what they load from /web/."""
        pages = [web.get(path, self.page(name)) for path, name in PAGES.items()]
        return [*pages, web.get("/web/{name:.+}", self._file)]

    def page(self, name: str) -> Handler:
        """What serves one of the pages."""

        async def serve(request: web.Request) -> web.Response:
            return self._answer(request, name)

        return serve

    async def _file(self, request: web.Request) -> web.Response:
        return self._answer(request, request.match_info["name"])

    def _answer(self, request: web.Request, name: str) -> web.Response:
        """One file, or 304 for whoever has it. Raises HTTPNotFound."""
        file = self._files.get(name)
        if file is None:
            raise web.HTTPNotFound(text="There is no such page here.\n", headers=self._headers)
        headers = {**self._headers, "ETag": f'"{file.etag}"'}
        if name.endswith(".svg"):  # browsers ask for an icon's file whenever they draw it anew, offline too
            headers["Cache-Control"] = "max-age=600"
        if any(tag.value == file.etag for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.body, content_type=file.content_type, charset="utf-8", headers=headers)
