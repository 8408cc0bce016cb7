"""Tells who a caller is from its `authorization`: a token of the file, which it follows, or a web token.

The file is looked at once a second at most, when somebody asks. One that was spoilt by an edit is reported, and
what held before goes on to hold: nobody new gets in by it, and nobody is locked out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from router.auth.followed import LOOK_S, stamp
from router.auth.identity import Identity, Role
from router.auth.tokens import Holder, hash_of, read_tokens
from router.auth.web_tokens import WebTokens
from router.errors import ConfigError, Forbidden, Unauthenticated

SCHEME = "bearer"
LONGEST = 8192  # characters of a header that is looked at
WEB_TOKEN_DOTS = 2  # header, claims, signature; our own tokens have none


class Guard:
    """Without a file and without web tokens it lets everybody in, as nobody in particular. One event loop."""

    def __init__(
        self,
        path: Path | None,
        wall_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
        web_tokens: WebTokens | None = None,  # None: there are none
    ) -> None:
        """Read the file. Raises `ConfigError`."""
        self._web_tokens = web_tokens
        self._path, self._wall_s, self._monotonic_s = path, wall_s, monotonic_s
        self._holders: Mapping[str, Holder] = {} if path is None else read_tokens(path)
        self._stamp, self._look_at = stamp(path), monotonic_s() + LOOK_S

    @property
    def on(self) -> bool:
        """Whether callers must say who they are."""
        return self._path is not None or self._web_tokens is not None

    def caller(self, authorization: str) -> Identity | None:
        """Who asks; None where nobody needs to say. Raises `Unauthenticated`, which does not tell what is known."""
        if not self.on:
            return None
        scheme, _, token = authorization[:LONGEST].partition(" ")
        if scheme.lower() != SCHEME or not token.strip():
            raise Unauthenticated("say who you are: authorization: Bearer TOKEN")
        token = token.strip()
        if self._web_tokens is not None and token.count(".") == WEB_TOKEN_DOTS:
            return self._web_tokens.identity(token)
        if self._path is not None:
            self._follow(self._path)
        holder = self._holders.get(hash_of(token))
        if holder is None or self._wall_s() >= holder.until:
            raise Unauthenticated("the token is not known, or its time is over")
        return holder.identity

    def operator(self, authorization: str) -> None:
        """Let operators pass. Raises `Unauthenticated` or `Forbidden`."""
        caller = self.caller(authorization)
        if caller is not None and caller.role is not Role.OPERATOR:
            raise Forbidden("this call is for operators")

    def _follow(self, path: Path) -> None:
        now = self._monotonic_s()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_S
        seen = stamp(path)
        if seen == self._stamp:
            return
        self._stamp = seen
        log = structlog.get_logger("router.auth")
        try:
            self._holders = read_tokens(path)
        except ConfigError as error:
            log.error(  # noqa: TRY400 (the message names the place; a traceback says nothing more)
                "the file of tokens cannot be read; what held before holds", error=str(error)
            )
        else:
            log.warning("the file of tokens was read anew", tokens=len(self._holders))


def own_tenant(named: str, caller: Identity | None) -> str:
    """The tenant that a request counts for: the caller's, where it is known. Raises `Forbidden` for another's name."""
    if caller is None:
        return named
    if named and named != caller.tenant:
        raise Forbidden("the token is another tenant's: leave tenant out")
    return caller.tenant
