"""Replies of JSON, refusals among them."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from router.openai_door.errors import Refusal
from router.openai_door.headers import REQUEST_ID_HEADER, header_text


def answer(value: Any, status: int = 200) -> web.Response:
    """A reply of JSON."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def refused(told: Refusal, request_id: str) -> web.Response:
    """A refusal as a reply to the request of that name."""
    reply = answer(told.body, told.status)
    reply.headers.update(told.headers)
    reply.headers[REQUEST_ID_HEADER] = header_text(request_id)
    return reply
