"""One request id, one piece of work: joined while it runs, answered again for a while, refused for another body."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from router.errors import RequestConflict

Result = TypeVar("Result")
Key = tuple[str, str]
"""(tenant, request id)"""

ENTRY_BYTES = 400  # of an entry besides its result: key, digest, bookkeeping
MAX_BYTES = 128 * 1024 * 1024
MAX_ENTRIES = 200_000


def digest_of(body: bytes) -> bytes:
    """What tells one body from another; `body` must be serialized deterministically."""
    return hashlib.blake2b(body, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class _Finished(Generic[Result]):
    digest: bytes
    result: Result
    size: int
    until_s: float


@dataclass(frozen=True, slots=True)
class _Running(Generic[Result]):
    digest: bytes
    ended: asyncio.Future[Result | BaseException | None]  # None: whoever did it left, and nobody does it now


@dataclass(slots=True)
class Claim(Generic[Result]):
    """Either the result of earlier work, or the right and duty to do it: enter it, `finish` it, leave it.

    Left without `finish`, those who joined get the error; where there is none, or the worker was cancelled, one of
    them takes over.
    """

    result: Result | None
    replays: Replays[Result]
    key: Key
    digest: bytes
    open: bool  # the work is this claim's, and has not ended

    def finish(self, result: Result, size: int) -> None:
        """Hand the result, `size` bytes large, to those who joined, and keep it."""
        self.open = False
        self.replays._end(self.key, result)  # noqa: SLF001 (the two are one mechanism)
        self.replays._keep(self.key, self.digest, result, size)  # noqa: SLF001 (as above)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.open:
            self.open = False
            self.replays._end(self.key, error if isinstance(error, Exception) else None)  # noqa: SLF001 (as above)


class Replays(Generic[Result]):
    """Results by tenant and request id, for `keep_s` seconds after they came; the oldest go first when memory is full.

    Errors are not kept: a request that failed may be tried again under its id. Lives in this process; a restart or
    another replica knows nothing of it. Not thread-safe: one event loop.
    """

    def __init__(
        self,
        keep_s: float,
        monotonic_s: Callable[[], float],
        max_bytes: int = MAX_BYTES,
        max_entries: int = MAX_ENTRIES,
        joins: Callable[[str], AbstractContextManager[None]]
        | None = None,  # entered by one who joins, with its tenant
    ) -> None:
        self.keep_s, self.monotonic_s = keep_s, monotonic_s
        self.max_bytes, self.max_entries, self._joins = max_bytes, max_entries, joins
        self.bytes = 0
        self._finished: OrderedDict[Key, _Finished[Result]] = OrderedDict()  # the oldest first
        self._running: dict[Key, _Running[Result]] = {}

    def __len__(self) -> int:
        return len(self._finished)

    async def claim(self, key: Key, digest: bytes) -> Claim[Result]:
        """The result under `key`, waiting for it while somebody works on it; else the claim to do the work.

        Raises `RequestConflict` where the id stands for another body, what the work raised while waiting for it, and
        `Overloaded` where the tenant's limits let nobody wait.
        """
        while True:
            self._forget()
            known = self._finished.get(key)
            running = self._running.get(key)
            if (known and known.digest != digest) or (running and running.digest != digest):
                raise RequestConflict(f"request_id {key[1]!r} was used with another body; take a new one")
            if known:
                return Claim(known.result, self, key, digest, open=False)
            if running is None:
                self._running[key] = _Running(digest, asyncio.get_running_loop().create_future())
                return Claim(None, self, key, digest, open=True)
            with nullcontext() if self._joins is None else self._joins(key[0]):
                ended = await asyncio.shield(running.ended)
            if isinstance(ended, BaseException):
                raise ended
            if ended is not None:
                return Claim(ended, self, key, digest, open=False)

    def _end(self, key: Key, ended: Result | BaseException | None) -> None:
        running = self._running.pop(key, None)
        if running:
            running.ended.set_result(ended)

    def _keep(self, key: Key, digest: bytes, result: Result, size: int) -> None:
        size += ENTRY_BYTES
        if size > self.max_bytes or self.keep_s <= 0:
            return
        self._finished[key] = _Finished(digest, result, size, self.monotonic_s() + self.keep_s)
        self.bytes += size
        while self.bytes > self.max_bytes or len(self._finished) > self.max_entries:
            self._drop_oldest()

    def _forget(self) -> None:
        now_s = self.monotonic_s()
        while self._finished and next(iter(self._finished.values())).until_s <= now_s:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, oldest = self._finished.popitem(last=False)
        self.bytes -= oldest.size
