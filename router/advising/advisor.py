"""One advised query: the allocator's walk over the caller's samples, then its reservation settled or held.

Where every sample that was asked for has ended, the reservation is settled at what they said they used. Where some
have not (the caller left, or was told that there is enough while they ran), nobody knows what they use: the whole
reservation stays until they are reported, on the call or by `ReportUsage`, or is charged when its time ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace

from predictors.observation import Query
from router.advising.advised_backend import AdvisedBackend
from router.advising.feed import Advice, Brought, Feed
from router.advising.held_reservations import HeldReservations
from router.allocation.progress import Progress
from router.allocator import Allocator
from router.domain.events import Done, Started
from router.domain.options import Options
from router.errors import BackendUnavailable, InvalidQuery, RouterError

# after so long the reservation is charged at its worst case: what is decided then is of no use
LONGEST_S = 900.0
LATE_S = 10.0  # for reports of samples that ran when the caller was told that there is enough

Tell = Callable[[Started | Advice | Done], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Engine:
    """What a caller is told of a backend, and what a second of a sample of it takes."""

    model: str = ""
    gpu_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Advisor:
    """Advises callers. One per process."""

    allocator: Allocator
    held: HeldReservations
    engines: Mapping[str, Engine]  # by backend
    late_s: float = LATE_S

    async def advise(
        self, query: Query, options: Options, messages: AsyncIterator[Brought | RouterError], tell: Tell
    ) -> None:
        """Tell what to draw, sample by sample, and at the end what to answer (`Done`).

        Returns when all that was asked for has ended, the caller sends nothing more, or `late_s` after `Done`.
        Raises `RouterError`; the row is logged all the same.
        """
        feed, ran = Feed(tell), list[Progress]()
        allocator = self._allocator(feed, ran)
        left_s = LONGEST_S if options.time_left_s is None else min(LONGEST_S, options.time_left_s)
        options = replace(options, advised=True, time_left_s=left_s)
        reading = asyncio.create_task(feed.read(messages), name="advised samples")
        try:
            async with aclosing(allocator.run(query, options)) as events:
                async for event in events:
                    if isinstance(event, Started | Done):
                        await tell(event)
        except BackendUnavailable as error:
            if not feed.over:
                raise
            nothing = InvalidQuery("sample", "the stream ended before a sample did", "a finished sample")
            nothing.decision_id = error.decision_id
            raise nothing from error
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.late_s):
                    await feed.late(ran[0].meter)
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
            for progress in ran:
                if progress.reservations:
                    used = progress.meter.by_backend
                    self.held.report(progress.decision_id, used, final=not feed.outstanding)

    def _allocator(self, feed: Feed, ran: list[Progress]) -> Allocator:
        """The allocator over the caller's samples, which settles only what is known."""
        books = self.allocator.books
        bounds = books.chooser.forecaster.bounds

        def settle(progress: Progress) -> int:
            ran.append(progress)
            if feed.outstanding:
                progress.unsaid = feed.unsaid()
                return self.held.keep(progress)
            return self.held.keep(progress, charged=books.settle(progress))

        fed = {}
        for name, backend in self.allocator.backends.items():
            engine = self.engines.get(name, Engine())
            fed[name] = AdvisedBackend(
                name,
                backend.capabilities,
                feed,
                bounds[name],
                model=engine.model,
                gpu_share=engine.gpu_share,
            )
        return Allocator(books, fed, self.allocator.classes, settle)
