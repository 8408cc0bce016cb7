"""All batches of a replica: those it was given, and those that nobody works on any more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

from router.batches.batch import Asked, Batch, BatchState, Result
from router.batches.kept import HOLD_S, Batches
from router.batches.work import AT_ONCE, Work
from router.errors import StoreError, UnknownName

Found = TypeVar("Found")
EVERY_S = HOLD_S / 6  # what is held is renewed, and what nobody holds is looked for
LONGEST_PAUSE_S = 600.0  # a budget may be raised meanwhile
MOST_AT_ONCE = 4  # batches; the others wait for their turn


class BatchDesk:
    """`start` it, `close` it; calls may come in between. All raise `StoreError` where the database is away."""

    def __init__(
        self,
        kept: Batches,
        asked: Asked,
        replica: str,
        wall_s: Callable[[], float],
        *,
        every_s: float = EVERY_S,
        at_once: int = AT_ONCE,
    ) -> None:
        self.kept, self.asked, self.replica, self.wall_s = kept, asked, replica, wall_s
        self.every_s, self.at_once = every_s, at_once
        self._works: dict[str, asyncio.Task[None]] = {}
        # batches that wait for their tenants' money -> until when (event loop)
        self._later: dict[str, float] = {}
        self._tending: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    def start(self) -> None:
        """Begin to tend what is held, in the background."""
        self._tending = asyncio.create_task(self._tend(), name="batches")

    async def close(self) -> None:
        """Stop; others, or the next life of this one, take up what is left."""
        tasks = [task for task in (self._tending, *self._works.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if tasks:
            with contextlib.suppress(StoreError):
                await asyncio.to_thread(self.kept.leave, self.replica)
        await asyncio.to_thread(self.kept.close)

    async def create(self, batch: Batch, digest: bytes, bodies: Sequence[bytes]) -> Batch:
        """Keep it; it is worked off from now on. Raises `RequestConflict`."""
        kept = await asyncio.to_thread(self.kept.add, batch, digest, bodies)
        self._later.pop(kept.batch_id, None)
        self._news.set()
        return kept

    async def get(self, batch_id: str, tenant: str | None) -> Batch:
        """How far it is. Raises `UnknownName`, also for another tenant's (None: everybody's are shown)."""
        return _of(await asyncio.to_thread(self.kept.get, batch_id), tenant)

    async def cancel(self, batch_id: str, tenant: str | None) -> Batch:
        """Begin nothing more of it, and cut what runs. Raises `UnknownName`."""
        await self.get(batch_id, tenant)
        work = self._works.pop(batch_id, None)
        if work is not None:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        return await asyncio.to_thread(self.kept.end, batch_id, BatchState.CANCELLED)

    async def results(self, batch_id: str, tenant: str | None, after: int, most: int) -> list[Result]:
        """In the order they came, those numbered above `after`. Raises `UnknownName`."""
        await self.get(batch_id, tenant)
        return await asyncio.to_thread(self.kept.results, batch_id, after, most)

    async def _tend(self) -> None:
        log = structlog.get_logger()
        while True:
            try:
                held = await asyncio.to_thread(self.kept.take, self.replica)
            except StoreError as error:
                log.warning("batches wait", why=str(error))
                held = list(self._works)  # the hold may lapse; results are kept once in any case
            for batch_id in set(self._works) - set(held):  # cancelled, or ended, through another replica
                self._works.pop(batch_id).cancel()
            now = asyncio.get_running_loop().time()
            self._later = {batch_id: at for batch_id, at in self._later.items() if at > now}
            for batch_id in held:
                doing = batch_id in self._works or batch_id in self._later
                if not doing and len(self._works) < MOST_AT_ONCE:
                    self._works[batch_id] = asyncio.create_task(
                        self._work(batch_id), name=f"batch {batch_id}"
                    )
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), self.every_s)

    async def _work(self, batch_id: str) -> None:
        log = structlog.get_logger().bind(batch=batch_id)
        try:
            items = await asyncio.to_thread(self.kept.waiting, batch_id)
            batch = await asyncio.to_thread(self.kept.get, batch_id)
            work = Work(batch, items, self.kept, self.asked, self.wall_s, at_once=self.at_once)
            state = await work.run()
            if state is BatchState.RUNNING:
                pause_s = min(max(work.pause_s or 0.0, self.every_s), LONGEST_PAUSE_S)
                self._later[batch_id] = asyncio.get_running_loop().time() + pause_s
                log.warning("batch waits for its tenant's budget", seconds=round(pause_s))
                return
            ended = await asyncio.to_thread(self.kept.end, batch_id, state)
            log.info(
                "batch ended", state=ended.state, done=ended.done, failed=ended.failed, micros=ended.spent
            )
        except* Exception as group:  # noqa: BLE001 (it is taken up again, and the others go on)
            log.warning("a batch was interrupted", why="; ".join(str(error) for error in group.exceptions))
        finally:
            if self._works.get(batch_id) is asyncio.current_task():
                del self._works[batch_id]


def _of(batch: Batch, tenant: str | None) -> Batch:
    if tenant is not None and batch.tenant != tenant:
        raise UnknownName("batch", batch.batch_id)
    return batch
