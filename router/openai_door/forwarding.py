"""Paths that are sent on to a backend as they are: `[server.forward]`. They are paid for like everything else.

A token is at least a byte of the body, so that so many input tokens are reserved; what the reply's `usage` says is
settled, or the reservation where it says nothing. They are no decisions: nothing is chosen, and no row is written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Self

import msgspec
from aiohttp import HttpVersion11, web

from router.admission.tenant_limits import TenantLimits
from router.allocation.books import Books
from router.backends.forwarder import Forwarder, usage_in
from router.checks.queries import DEFAULT_TENANT
from router.config import Config
from router.connections.slow_reader import taken
from router.costs.worst_case import used_amount
from router.domain.usage import Usage
from router.errors import BackendUnavailable
from router.openai_door.caller import tenant_of
from router.openai_door.chat import Admission
from router.openai_door.event_stream import left_where_unread
from router.openai_door.headers import BACKEND_HEADER, COST_HEADER, REQUEST_ID_HEADER
from router.openai_door.whole_body import whole_body


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What goes where."""

    paths: Mapping[str, Forwarder]  # "/v1/embeddings" -> a backend
    books: Books
    admission: Admission
    limits: TenantLimits
    new_id: Callable[[], str]

    @classmethod
    def of(
        cls,
        config: Config,
        books: Books,
        admission: Admission,
        limits: TenantLimits,
        new_id: Callable[[], str],
    ) -> Self | None:
        """What the configuration sends on; None: nothing."""
        forward = config.server.forward
        if not forward:
            return None
        servers = {name: Forwarder(name, config.backends[name]) for name in set(forward.values())}
        return cls({path: servers[name] for path, name in forward.items()}, books, admission, limits, new_id)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The server's reply, paid for. Raises `Overloaded`, `BudgetExceeded`, `BackendError`."""
        forwarder, body = self.paths[request.path], await whole_body(request)
        name, ledger, prices = forwarder.name, self.books.ledger, self.books.prices
        call_id, tokens = self.new_id(), len(body)
        tenant = tenant_of(request, "") or DEFAULT_TENANT
        if closed := self.books.chooser.feasibility.switch.objection(name):
            raise BackendUnavailable(closed)
        with self.admission.enter(query=True), self.limits.enter(tenant):
            used = {name: Usage(tokens, samples=1)}
            reservation = await ledger.obtain(f"forward/{call_id}", used_amount(used, prices), tenant)
            taken: Mapping[str, Usage] = {}  # a request that never arrived used nothing
            try:
                async with forwarder.send(
                    request.method, request.path_qs, request.content_type, as_named(body, forwarder)
                ) as reply:
                    taken = used if reply.status < 400 else {}
                    headers = {
                        REQUEST_ID_HEADER: call_id,
                        BACKEND_HEADER: name,
                        "Content-Type": reply.content_type,
                    }
                    if not reply.content_type.startswith("application/json"):
                        return await self._streamed(request, reply.status, headers, reply.pieces())
                    whole = b"".join([piece async for piece in reply.pieces()])
                    if taken and (said := usage_in(whole)) is not None:
                        taken = {name: said}
                    headers[COST_HEADER] = str(used_amount(taken, prices).micros)
                    return web.Response(status=reply.status, body=whole, headers=headers)
            finally:
                ledger.settle(reservation, used_amount(taken, prices))

    async def _streamed(
        self, request: web.Request, status: int, headers: Mapping[str, str], pieces: AsyncIterator[bytes]
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers=headers)
        if request.version < HttpVersion11:
            response.force_close()  # it has no chunks: the end of the connection is that of the reply
        await response.prepare(request)
        with left_where_unread(request):
            async for piece in pieces:
                await taken(response.write(piece))
        return response

    async def close(self) -> None:
        """Release connections."""
        for forwarder in {id(one): one for one in self.paths.values()}.values():
            await forwarder.close()


def as_named(body: bytes, forwarder: Forwarder) -> bytes:
    """The body with the model's own name where the caller said the backend's, `backend/NAME` or none."""
    try:
        sent = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        said = msgspec.json.decode(sent["model"], type=str) if "model" in sent else ""
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return body  # not JSON: a form with a file, say
    if said not in ("", "auto", forwarder.name, f"backend/{forwarder.name}"):
        return body
    return msgspec.json.encode({**sent, "model": forwarder.config.model})
