"""The routes, and every error in OpenAI's shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from router.auth.guard import Guard
from router.errors import RouterError, UnknownName
from router.openai_door.answers import answer, refused
from router.openai_door.caller import CALLED, CALLER
from router.openai_door.chat import Chats
from router.openai_door.errors import INVALID, Refusal, error_object, logged_refusal
from router.openai_door.feedback import Feedback
from router.openai_door.forwarding import Forwarding
from router.openai_door.openapi import PATH, document
from router.openai_door.whole_body import BODIES, Bodies

OPEN = ("/health", PATH)
CONSOLE = "/console"
ELSEWHERE = {"/metrics": "they are shown where [metrics] says on_door = true, or at the port of its listen; "}
FORWARDED = "[server] forward may send a path on to a backend; "
CHATS = "/v1/chat/completions"
RESPONSES = "/v1/responses"  # what several libraries ask unless they are told otherwise
INSTEAD = (
    f"ask POST {CHATS} with the same messages and tools (openai.chat(…) of the AI SDK, 'openai-chat:…' of Pydantic "
    "AI, use_responses_api=False of LangChain); "
)


@dataclass(frozen=True, slots=True)
class Routes:
    """What is answered, and who answers it."""

    chats: Chats
    started_at: int  # seconds since the epoch
    feedback: Feedback
    forwarding: Forwarding | None = None  # None: nothing is sent on
    pages: Mapping[str, Handler] = field(default_factory=dict)  # GET: what others show here
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)  # (door, reason) -> requests
    guard: Guard = field(default_factory=lambda: Guard(None))

    def application(self, max_body_bytes: int, bodies: Bodies) -> web.Application:
        """All routes; a larger body is refused with 413, one too many at once with 429."""
        middlewares = [self._errors(bodies), self._identity()]
        app = web.Application(client_max_size=max_body_bytes, middlewares=middlewares)
        app[BODIES] = bodies
        app.add_routes(
            [
                web.post(CHATS, self.chats.chat),
                web.post("/v1/completions", self.chats.prompt),
                web.post("/v1/feedback", self.feedback.handle),
                web.get("/v1/models", self._models),
                web.get("/v1/models/{name:.+}", self._model),
                web.get("/health", self._health),
                web.get(PATH, self._document),
            ]
        )
        app.add_routes([web.get(path, handler) for path, handler in self.pages.items()])
        if self.forwarding is not None:
            for path in self.forwarding.paths:
                app.add_routes(
                    [web.post(path, self.forwarding.handle), web.get(path, self.forwarding.handle)]
                )
        return app

    async def _document(self, request: web.Request) -> web.Response:
        told = document(
            self.chats.models.names,
            version("apportion"),
            extra=self.chats.known.extra,
            forwarded=self.forwarding.paths if self.forwarding is not None else (),
            metrics="/metrics" in self.pages,
        )
        return answer(told)

    async def _models(self, request: web.Request) -> web.Response:
        models = [self._described(name) for name in self.chats.models.names]
        return answer({"object": "list", "data": models})

    async def _model(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if not self.chats.models.known(name):
            raise UnknownName("model", name, self.chats.models.names)
        return answer(self._described(name))

    async def _health(self, request: web.Request) -> web.Response:
        draining = self.chats.admission.draining
        return answer({"status": "draining" if draining else "ok"}, 503 if draining else 200)

    def _described(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self.started_at, "owned_by": "apportion"}

    def _called(self, request: web.Request) -> str:
        return request.get(CALLED) or self.chats.new_id()

    def _identity(self) -> Middleware:
        @web.middleware
        async def whose_it_is(request: web.Request, handler: Handler) -> web.StreamResponse:
            """Ask who calls, but for probes and the document; what others show here is for operators."""
            said, path = request.headers.get("Authorization", ""), request.path
            if path in self.pages:
                self.guard.operator(said)
            elif path not in OPEN and not path.startswith(
                CONSOLE
            ):  # whose pages hold nothing, and whose calls ask
                caller = self.guard.caller(said)
                if caller is not None:
                    request[CALLER] = caller
            return await handler(request)

        return whose_it_is

    def _errors(self, bodies: Bodies) -> Middleware:
        @web.middleware
        async def errors_in_openai_shape(request: web.Request, handler: Handler) -> web.StreamResponse:
            """Whatever a handler raises, told as OpenAI does, and counted."""
            try:
                return await handler(request)
            except web.HTTPException as error:
                if error.status < 400:
                    raise
                self.refused["openai", "HTTP"] += 1
                return refused(_by_status(request, error), self._called(request))
            except Exception as error:  # noqa: BLE001 (whatever it is, the caller gets a status)
                self.refused["openai", getattr(error, "reason", RouterError.reason)] += 1
                called = self._called(request)
                return refused(logged_refusal(error, request.path, called), called)
            finally:
                bodies.ended(request)

        return errors_in_openai_shape


def _by_status(request: web.Request, error: web.HTTPException) -> Refusal:
    """What aiohttp refuses by itself: paths, methods, sizes."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        message = f"{request.path} takes {', '.join(sorted(error.allowed_methods))}, not {request.method}"
        headers = {"Allow": ", ".join(sorted(error.allowed_methods))}
        return Refusal(error.status, error_object(message, INVALID, None, "method_not_allowed"), headers)
    if error.status == 404:
        known = {route.resource.canonical for route in request.app.router.routes() if route.resource}
        hint = _hint(request.path, known)
        message = f"nothing is served at {request.path!r}; {hint}choose from {', '.join(sorted(known))}"
        return Refusal(404, error_object(message, INVALID, None, "unknown_path"))
    code = error.reason.lower().replace(" ", "_")
    return Refusal(error.status, error_object(error.text or error.reason, INVALID, None, code))


def _hint(path: str, known: Collection[str]) -> str:
    """What the caller of a path that is not served may have meant."""
    if path == RESPONSES or path.startswith(f"{RESPONSES}/"):
        return INSTEAD
    meant = [served for served in known if path.rstrip("/").endswith(served.removeprefix("/v1"))]
    if path not in ELSEWHERE and meant:
        return f"did you mean {max(meant, key=len)}? a client's base URL ends with /v1; "
    return ELSEWHERE.get(path, FORWARDED if path.startswith("/v1/") else "")
