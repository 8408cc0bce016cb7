"""Keeps a ledger supplied from a shared store that must not be waited for: in the background, on one thread.

Every `RETRY_S` it looks whether anything changed (one statement); every `renew_s`, and when something did, it has an
exchange (five statements): at steady load less than one statement a second. Where a request is short of money in hand
`fetch` has an exchange at once; all that wait at that time share it. Every hour movements that are too old are carried
over, a part at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog

from router.errors import StoreError
from router.ledger.hand import RETRY_S
from router.ledger.leased import Leased

Result = TypeVar("Result")

CARRY_EVERY_S = 3600.0


class Renewal:
    """The background of one `Leased`. `start` it on the event loop, `close` it when no query runs."""

    def __init__(
        self,
        ledger: Leased,
        keep_s: float = 0.0,  # of movements that are older only the sums are kept; 0: all movements are
    ) -> None:
        self.ledger, self.store, self._keep_s = ledger, ledger.store, keep_s
        self.exchanges = 0  # begun
        self._lock = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._seen = -1  # of `changes`
        self._log = structlog.get_logger("router.ledger")

    def start(self) -> None:
        """Begin to renew; needs a running event loop."""
        if self._task is None:
            self.ledger.fetch, self.ledger.elsewhere = self.fetch, self._call
            self._task = asyncio.create_task(self._run(), name="ledger-renewal")

    async def fetch(self) -> None:
        """An exchange that begins after this call; a store that is away is noted in the ledger, nothing is raised."""
        seen = self.exchanges
        async with self._lock:
            if self.exchanges == seen:  # else one began while this waited, and knew what it needs
                await self._exchange()

    async def close(self) -> None:
        """Give everything back and end. What is still reserved is charged at its worst case by then or later."""
        if self._closed:
            return
        self._closed = True
        self.ledger.fetch = self.ledger.elsewhere = None
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        async with self._lock:
            await self._exchange(leave=not self.ledger.in_flight)
        await asyncio.to_thread(self._thread.shutdown)
        self.store.close()

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        due, carry_at = clock() + self.ledger.renew_s, clock() if self._keep_s else float("inf")
        while True:
            await asyncio.sleep(RETRY_S)
            self.ledger.expire()
            if clock() >= due or self.ledger.away or await self._changed():
                await self.fetch()
                due = clock() + self.ledger.renew_s
            if clock() >= carry_at and not self.ledger.away:
                carry_at = clock() + (0.0 if await self._carried_over() else CARRY_EVERY_S)

    async def _carried_over(self) -> bool:
        try:
            return await self._call(lambda: self.store.carry_over(self._keep_s))
        except StoreError as error:
            self._away(error)
            return True  # again, when it is back

    async def _changed(self) -> bool:
        try:
            number = await self._call(self.store.changes)
        except StoreError as error:
            self._away(error)
            return False
        changed, self._seen = number != self._seen, number
        return changed

    async def _exchange(self, *, leave: bool = False, again: bool = False) -> None:
        self.exchanges += 1
        asked_at = self.ledger.now()
        asks = self.ledger.asks(leave=leave)
        try:
            answers = await self._call(lambda: self.store.sync(self.ledger.replica, asks))
        except StoreError as error:
            self._away(error)
            return
        if self.ledger.away:
            self._log.warning("store of budgets is back")
        stood = self.ledger.stands_still
        more = self.ledger.hear(asks, answers, asked_at)
        if bool(stood) != bool(self.ledger.stands_still):
            self._log.warning(self.ledger.stands_still or "the clock of the store of budgets has caught up")
        if more and not again:
            await self._exchange(leave=leave, again=True)

    async def _call(self, call: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _away(self, error: StoreError) -> None:
        if not self.ledger.away:
            self._log.error("store of budgets is away; what is in hand is spent", error=str(error))
        self.ledger.lost_store(str(error))
