"""Who sent a request: put there before it is handled, and missing where nobody is asked."""

from __future__ import annotations

from aiohttp import web

from router.auth.guard import own_tenant
from router.auth.identity import Identity
from router.checks.queries import DEFAULT_TENANT

CALLER = web.RequestKey("apportion_caller", Identity)


def tenant_of(request: web.Request, named: str) -> str:
    """The tenant that the request counts for, where its body names `named` or nobody. Raises `Forbidden`."""
    caller = request.get(CALLER)
    return own_tenant("" if caller is not None and named == DEFAULT_TENANT else named, caller)
