"""Draw what is missing: every (query, backend, index) once, seeded, in parallel, with retries, into the journal."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from random import Random

import aiohttp

from training.collect_journal import Journal, text_mark
from training.collect_queries import CollectedQuery
from training.errors import TrainingError
from training.openai_samples import RefusedSample, Reply, Server, TransientFailure, draw

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
    retried: int = 0
    refused: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    dollars: float = 0.0
    last_refusal: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One sample that is missing."""

    query: CollectedQuery
    server: Server
    sample_idx: int


def sample_seed(seed: int, query_id: str, backend: str, sample_idx: int) -> int:
    """The seed of one sample, 0 .. 2**31-1: of what it is, not of when it is drawn."""
    key = f"{seed}/{query_id}/{backend}/{sample_idx}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(key, digest_size=4).digest(), "little") >> 1


def missing(
    queries: Sequence[CollectedQuery], server: Server, samples: int, journal: Journal
) -> Iterator[Item]:
    """What the journal does not have yet for one backend, query by query."""
    for query in queries:
        for sample_idx in range(samples):
            if (query.query_id, server.name, sample_idx) not in journal.done:
                yield Item(query, server, sample_idx)


def journal_row(item: Item, seed: int, reply: Reply) -> dict[str, object]:
    """One sample as the journal keeps it."""
    params = item.server.params() | {"seed": seed}
    return {
        "query_id": item.query.query_id,
        "backend": item.server.name,
        "sample_idx": item.sample_idx,
        "mark": text_mark(item.query.query),
        "text": reply.text,
        "tokens_in": reply.tokens_in,
        "tokens_out": reply.tokens_out,
        "first_token_s": reply.first_token_s,
        "latency_s": reply.latency_s,
        "finish_reason": reply.finish_reason,
        "mean_logprob": reply.mean_logprob,
        "first_entropy": reply.first_entropy,
        "params": json.dumps(params, sort_keys=True),
    }


async def collect(
    work: Sequence[Sequence[Item]],
    journal: Journal,
    drawing: Drawing,
    on_row: Callable[[Progress], None] = lambda _: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Progress:
    """Draw all items, the lists side by side (one per backend). Raises what made the last retry fail."""
    progress = Progress()
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=600)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        workers: list[Awaitable[None]] = []
        for items in work:
            waiting, pace = iter(items), Pace(drawing.rate)
            workers.extend(
                _worker(session, waiting, pace, journal, drawing, progress, on_row, sleep)
                for _ in range(min(drawing.concurrency, len(items)))
            )
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


async def _worker(
    session: aiohttp.ClientSession,
    waiting: Iterator[Item],
    pace: Pace,
    journal: Journal,
    drawing: Drawing,
    progress: Progress,
    on_row: Callable[[Progress], None],
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    for item in waiting:
        seed = sample_seed(drawing.seed, item.query.query_id, item.server.name, item.sample_idx)
        try:
            reply = await _persist(session, item, seed, pace, drawing, progress, sleep)
        except RefusedSample as error:
            progress.refused += 1
            progress.last_refusal = f"query {item.query.query_id!r}: {error}"
            if progress.drawn == 0 and progress.refused >= 20:
                raise TrainingError(
                    f"{progress.refused} refused and none drawn; the last: {error}"
                ) from error
            continue
        journal.add(journal_row(item, seed, reply))
        progress.drawn += 1
        progress.tokens_in += reply.tokens_in or 0
        progress.tokens_out += reply.tokens_out or 0
        cost = (reply.tokens_in or 0) * item.server.price_in + (reply.tokens_out or 0) * item.server.price_out
        progress.dollars += cost / 1e6
        on_row(progress)


async def _persist(
    session: aiohttp.ClientSession,
    item: Item,
    seed: int,
    pace: Pace,
    drawing: Drawing,
    progress: Progress,
    sleep: Callable[[float], Awaitable[None]],
) -> Reply:
    jitter = Random(seed)  # so that the workers do not come back all at once
    for attempt in range(drawing.retries + 1):
        await pace.turn()
        try:
            return await draw(session, item.server, item.query.query, seed)
        except TransientFailure as error:
            if attempt == drawing.retries:
                raise TrainingError(f"gave up after {attempt + 1} attempts: {error}") from error
            progress.retried += 1
            pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempt) * (0.5 + jitter.random())
            await sleep(error.retry_after_s if error.retry_after_s is not None else pause)
    raise AssertionError("unreachable")
