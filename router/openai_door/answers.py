"""Replies of JSON, refusals among them."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from router.openai_door.errors import Refusal


def answer(value: Any, status: int = 200) -> web.Response:
    """A reply of JSON."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def refused(told: Refusal) -> web.Response:
    """A refusal as a reply."""
    reply = answer(told.body, told.status)
    reply.headers.update(told.headers)
    return reply
