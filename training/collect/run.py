"""Draw what is missing: every (query, backend, index) once, seeded, in parallel, with retries, into the journal.

A sample whose backend has check-points is looked at right after it was drawn, while its server has it in the cache.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from predictors.vllm.asked import ask_params
from router.backends.openai_session import open_session
from training.collect.items import Item, journal_row, sample_seed
from training.collect.journal import Journal
from training.collect.states import states_soon
from training.errors import TrainingError
from training.openai_reply import Reply
from training.openai_samples import RefusedSample, Server, TransientFailure, draw
from training.tentative import elicitation, snapshot_row, tentative_body, tentative_of

HOPELESS = 20  # refusals before anything was answered
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0


@dataclass(frozen=True, slots=True)
class Drawing:
    """How a collection is drawn."""

    samples: int = 4  # per query and backend, unless `samples_of` says otherwise
    seed: int = 0
    concurrency: int = 16  # requests in flight per backend
    rate: float = 0.0  # requests per second and backend; 0: as fast as it answers
    retries: int = 8  # of one sample, with doubling pauses


@dataclass(slots=True)
class Progress:
    """What has been drawn in this run."""

    drawn: int = 0
    looked: int = 0  # check-points whose answers came
    spared: int = 0  # check-points that were allowed for and not needed: the sample ended before
    stateless: int = 0  # samples whose hidden states were wanted and did not come
    misspelt: int = 0  # samples that cannot be looked at: their tokens do not spell their text
    retried: int = 0
    refused: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    dollars: float = 0.0
    last_refusal: str = ""

    def spend(self, server: Server, reply: Reply) -> None:
        """Count what a reply used."""
        tokens_in, tokens_out = reply.tokens_in or 0, reply.tokens_out or 0
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        self.dollars += (tokens_in * server.price_in + tokens_out * server.price_out) / 1e6


async def collect(
    work: Sequence[Sequence[Item]],
    journal: Journal,
    drawing: Drawing,
    on_row: Callable[[Progress], None] = lambda _: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    environ: Mapping[str, str] = os.environ,
) -> Progress:
    """Draw all items, the lists side by side (one per backend). Raises what made the last retry fail."""
    progress = Progress()
    async with AsyncExitStack() as sessions:
        workers: list[Awaitable[None]] = []
        for items in work:
            if not items:
                continue
            server, waiting, pace = items[0].server, iter(items), Pace(drawing.rate)
            session = await sessions.enter_async_context(open_session(server.name, server.way, environ))
            worker = _Worker(session, pace, journal, drawing, progress, on_row, sleep)
            workers.extend(worker.draw_all(waiting) for _ in range(min(drawing.concurrency, len(items))))
        tasks = [asyncio.ensure_future(worker) for worker in workers]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return progress


class Pace:
    """Starts at most `rate` requests per second, evenly; 0: no limit."""

    def __init__(
        self,
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._gap_s = 1 / rate if rate > 0 else 0.0
        self._next_s = 0.0
        self._clock, self._sleep = clock, sleep

    async def turn(self) -> None:
        """Wait until the next request may start."""
        if self._gap_s:
            now = self._clock()
            start = max(now, self._next_s)
            self._next_s = start + self._gap_s
            await self._sleep(start - now)


@dataclass(frozen=True, slots=True)
class _Worker:
    """What draws one backend's items."""

    session: aiohttp.ClientSession
    pace: Pace
    journal: Journal
    drawing: Drawing
    progress: Progress
    on_row: Callable[[Progress], None]
    sleep: Callable[[float], Awaitable[None]]

    async def draw_all(self, waiting: Iterator[Item]) -> None:
        """Until none is waiting; a refused one is counted and left out."""
        for item in waiting:
            try:
                await self._sample(item)
            except RefusedSample as error:
                self._refused(item, error)
                if self.progress.drawn == 0 and self.progress.refused >= HOPELESS:
                    said = f"{self.progress.refused} refused and none drawn"
                    raise TrainingError(f"{said}; the last: {error}") from error
                continue
            try:
                await self._snapshots(item)
            except RefusedSample as error:
                self._refused(item, error)
                if self.progress.looked == 0 and self.progress.refused >= HOPELESS:
                    said = "no growing sample can be looked at; a server for --snapshots takes continue_final_message"
                    raise TrainingError(f"{said}; the last: {error}") from error

    async def _sample(self, item: Item) -> None:
        if item.drawn:
            return
        seed, progress = self._seed(item), self.progress
        body, key = item.server.body(item.query.query, seed), ""
        if item.server.hidden:
            key = secrets.token_hex(16)
            body |= {"kv_transfer_params": ask_params(key)}
        reply = await self._persist(item.server, body, seed)
        row = journal_row(item, seed, reply)
        if key:
            states = await states_soon(Path(item.server.hidden), key, self.sleep)
            row |= states
            progress.stateless += not states
        self.journal.add(row)
        points = row.get("growth")
        progress.drawn += 1
        progress.spared += item.looks - len(points or ())
        progress.misspelt += bool(item.server.check_points) and points is None
        progress.spend(item.server, reply)
        self.on_row(progress)

    async def _snapshots(self, item: Item) -> None:
        sample = self.journal.growing.get(item.key)
        if sample is None:
            return
        text, seed = sample["text"], self._seed(item)
        for point in self.journal.not_looked_at(item.key):
            asked = elicitation(item.server, text, point["end"])
            body = tentative_body(item.server, item.query.query, seed, text[: point["end"]] + asked)
            reply = await self._persist(item.server, body, seed)
            self.journal.add(snapshot_row(sample, point, tentative_of(asked, reply)))
            self.progress.looked += 1
            self.progress.spend(item.server, reply)
            self.on_row(self.progress)

    def _seed(self, item: Item) -> int:
        return sample_seed(self.drawing.seed, *item.key)

    def _refused(self, item: Item, error: RefusedSample) -> None:
        progress = self.progress
        progress.refused += 1
        progress.last_refusal = f"query {item.query.query_id!r}: {error}"

    async def _persist(self, server: Server, body: Mapping[str, Any], seed: int) -> Reply:
        jitter = Random(seed)  # so that the workers do not come back all at once
        for attempt in range(self.drawing.retries + 1):
            await self.pace.turn()
            try:
                return await draw(self.session, server, body)
            except TransientFailure as error:
                if attempt == self.drawing.retries:
                    raise TrainingError(f"gave up after {attempt + 1} attempts: {error}") from error
                self.progress.retried += 1
                pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempt) * (0.5 + jitter.random())
                await self.sleep(error.retry_after_s if error.retry_after_s is not None else pause)
        raise AssertionError("unreachable")
