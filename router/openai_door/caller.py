"""Who sent a request, and what it is called: put there as soon as it is known."""

from __future__ import annotations

from aiohttp import web

from router.auth.guard import own_tenant
from router.auth.identity import Identity
from router.checks.queries import DEFAULT_TENANT

CALLER = web.RequestKey("apportion_caller", Identity)  # missing where nobody is asked
CALLED = web.RequestKey("apportion_called", str)  # missing where the request could not be read


def tenant_of(request: web.Request, named: str) -> str:
    """The tenant that the request counts for, where its body names `named` or nobody. Raises `Forbidden`."""
    caller = request.get(CALLER)
    return own_tenant("" if caller is not None and named == DEFAULT_TENANT else named, caller)
