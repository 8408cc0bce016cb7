"""The routes, and every error in OpenAI's shape."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from router.errors import UnknownName
from router.openai_door.chat import Chats
from router.openai_door.errors import INVALID, Refusal, error_object, logged_refusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Routes:
    """What is answered besides chats."""

    chats: Chats
    started_at: int  # seconds since the epoch

    def application(self, max_body_bytes: int) -> web.Application:
        """All routes; a larger body is refused with 413."""
        app = web.Application(client_max_size=max_body_bytes, middlewares=[errors_in_openai_shape])
        app.add_routes(
            [
                web.post("/v1/chat/completions", self.chats.handle),
                web.get("/v1/models", self._models),
                web.get("/v1/models/{name:.+}", self._model),
                web.get("/health", self._health),
            ]
        )
        return app

    async def _models(self, request: web.Request) -> web.Response:
        models = [self._described(name) for name in self.chats.models.names]
        return answer({"object": "list", "data": models})

    async def _model(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.chats.models.names:
            raise UnknownName("model", name, self.chats.models.names)
        return answer(self._described(name))

    async def _health(self, request: web.Request) -> web.Response:
        draining = self.chats.admission.draining
        return answer({"status": "draining" if draining else "ok"}, 503 if draining else 200)

    def _described(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self.started_at, "owned_by": "apportion"}


@web.middleware
async def errors_in_openai_shape(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever a handler raises, told as OpenAI does."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return refused(_by_status(request, error))
    except Exception as error:  # noqa: BLE001 (whatever it is, the caller gets a status)
        return refused(logged_refusal(error, request.path))


def answer(value: Any, status: int = 200) -> web.Response:
    """A reply of JSON."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def refused(told: Refusal) -> web.Response:
    """A refusal as a reply."""
    reply = answer(told.body, told.status)
    reply.headers.update(told.headers)
    return reply


def _by_status(request: web.Request, error: web.HTTPException) -> Refusal:
    """What aiohttp refuses by itself: paths, methods, sizes."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        message = f"{request.path} takes {', '.join(sorted(error.allowed_methods))}, not {request.method}"
        headers = {"Allow": ", ".join(sorted(error.allowed_methods))}
        return Refusal(error.status, error_object(message, INVALID, None, "method_not_allowed"), headers)
    if error.status == 404:
        served = sorted({route.resource.canonical for route in request.app.router.routes() if route.resource})
        message = f"nothing is served at {request.path!r}; choose from {', '.join(served)}"
        return Refusal(404, error_object(message, INVALID, None, "unknown_path"))
    code = error.reason.lower().replace(" ", "_")
    return Refusal(error.status, error_object(error.text or error.reason, INVALID, None, code))
