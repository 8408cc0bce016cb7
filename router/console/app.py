"""The console's files and the way to the Admin calls, as an application for the HTTP door to mount."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from aiohttp import web

from router.openai_door.whole_body import whole_body

FOLDER = Path(__file__).parent
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # asked for each time, and answered by 304 where nothing changed
}
MAX_REQUEST_BYTES = 1 << 16
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Admin(Protocol):
    """The Admin service as JSON."""

    async def __call__(self, name: str, body: bytes, authorization: str) -> tuple[int, bytes]:
        """An HTTP status and the body of one call. `authorization` is the header of that name, "" without one."""
        ...


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is sent."""

    body: bytes
    content_type: str
    etag: str


def files(folder: Path = FOLDER) -> dict[str, File]:
    """All files of the pages, by name."""
    found = {}
    for path in sorted(folder.iterdir()):
        if kind := TYPES.get(path.suffix):
            body = path.read_bytes()
            found[path.name] = File(body, kind, hashlib.sha256(body).hexdigest()[:16])
    return found


@dataclass(frozen=True, slots=True)
class Console:
    """Pages for everybody whom `local_only` lets in; each call says by itself whether this caller may make it."""

    admin: Admin
    local_only: bool  # callers are not authenticated: this machine's alone may come in
    files: Mapping[str, File] = field(default_factory=files)

    def application(self) -> web.Application:
        """To be mounted at /console."""
        app = web.Application(client_max_size=MAX_REQUEST_BYTES, middlewares=[self._guard])
        app.add_routes(
            [
                web.get("", self._to_folder),
                web.get("/", self._page),
                web.post("/api/{name:[A-Za-z]+}", self._call),
                web.get("/{name:[a-z_]+[.][a-z]+}", self._page),
            ]
        )
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if why := self.objection(request):
            return web.Response(status=403, text=why, headers=HEADERS)
        return await handler(request)

    def objection(self, request: web.Request) -> str:
        """Why this request is not answered; "" where it is.

        Nobody is authenticated: a request must come from this machine itself and name it by an address, so that no
        page of a stranger can reach us through its reader's browser by a name of its own.
        """
        if foreign_page(request.headers, request.host):
            return "the console answers its own pages alone, not those of another site"
        if not self.local_only:
            return ""
        peer = request.transport.get_extra_info("peername") if request.transport else None
        if (
            not peer
            or peer[0] not in ("127.0.0.1", "::1")
            or any(name in request.headers for name in FORWARDED)
        ):
            return (
                "callers are not authenticated, so the console answers this machine alone; reach it through "
                "`ssh -L` or `kubectl port-forward`, or configure authentication"
            )
        if not is_address(request.host):
            return f"reach the console by an address or as localhost, not as {request.host[:80]!r}"
        return ""

    async def _to_folder(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=308, headers={"Location": f"{request.path}/"})

    async def _page(self, request: web.Request) -> web.StreamResponse:
        file = self.files.get(request.match_info.get("name", "index.html"))
        if file is None:
            return web.Response(status=404, text="there is no such file", headers=HEADERS)
        headers = {**HEADERS, "ETag": f'"{file.etag}"'}
        if any(tag.value == file.etag for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.body, content_type=file.content_type, charset="utf-8", headers=headers)

    async def _call(self, request: web.Request) -> web.StreamResponse:
        if request.content_type != "application/json":
            return web.Response(status=415, text="calls are JSON", headers=HEADERS)
        status, body = await self.admin(
            request.match_info["name"], await whole_body(request), request.headers.get("Authorization", "")
        )
        return web.Response(
            status=status,
            body=body,
            content_type="application/json",
            headers={**HEADERS, "Cache-Control": "no-store"},
        )


def foreign_page(headers: Mapping[str, str], host: str) -> bool:
    """Whether a browser says that another site's page asks."""
    if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return headers.get("Sec-Fetch-Mode") != "navigate"  # a link to us may stand anywhere
    origin = headers.get("Origin")
    return origin is not None and origin.partition("://")[2] != host


def is_address(host: str) -> bool:
    """Whether "host:port" names a machine by its address, or is localhost: such a name cannot be given to another."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
