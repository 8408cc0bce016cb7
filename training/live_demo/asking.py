"""Ask the service through the real client: whole, streamed, or left at the first piece of text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from predictors.observation import Constraints, Sampling
from router.client import (
    AdminClient,
    AnswerDelta,
    ApportionError,
    Ask,
    Client,
    Done,
    Reply,
    SampleDelta,
    Started,
    Status,
)
from router.clients.admin_types import LoggedDecision, ServerStatus
from training.live_demo.prepare import PATIENCE_S
from training.live_demo.questions import Question, Way

SIDE_BY_SIDE = 4  # queries in flight
LONG_TOKENS = 1500  # of an answer that is left: minutes of work for a CPU, if it is not freed
LOGGED_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One query as it is sent."""

    question: Question
    request_id: str
    plan: str  # forced; "": the policy chooses
    seed: int  # of its samples: the same for every plan, so that plans that draw the same call get the same sample


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back for one query. A left one has no reply."""

    asked: Asked
    plan: str = ""
    reply: Reply | None = None
    streamed: str = ""  # the pieces of the answer, joined
    latency_s: float = 0.0  # as the caller saw it; of a left one: until it left
    first_text_s: float | None = None  # of a streamed one
    error: str = ""

    @property
    def answered(self) -> bool:
        """There is an answer."""
        return self.reply is not None and self.reply.status is Status.ANSWERED


def ask_all(address: str, queries: Sequence[Asked], told: Callable[[Outcome], None]) -> list[Outcome]:
    """The outcomes in the queries' order; `told` is called with each when it is there."""
    return asyncio.run(_ask_all(address, queries, told))


async def _ask_all(address: str, queries: Sequence[Asked], told: Callable[[Outcome], None]) -> list[Outcome]:
    gate = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(client: Client, asked: Asked) -> Outcome:
        async with gate:
            started = time.monotonic()
            try:
                outcome = await ask(client, asked)
            except ApportionError as error:
                outcome = Outcome(
                    asked, latency_s=time.monotonic() - started, error=f"{error.status}: {error}"
                )
        told(outcome)
        return outcome

    async with Client(address, timeout_s=PATIENCE_S) as client:
        return list(await asyncio.gather(*(one(client, asked) for asked in queries)))


async def ask(client: Client, asked: Asked) -> Outcome:
    """One query in its way. Raises `ApportionError`."""
    if asked.question.way is Way.WHOLE:
        started = time.monotonic()
        reply = await client.generate(asked.question.text, **_how(asked))
        return Outcome(asked, reply.decision.plan, reply, latency_s=time.monotonic() - started)
    return await _streamed(client, asked)


async def _streamed(client: Client, asked: Asked) -> Outcome:
    """The stream to its end, or to its first piece of text where the caller leaves."""
    started, leaves = time.monotonic(), asked.question.way is Way.LEFT
    plan, pieces, first_s = "", list[str](), None
    reply: Reply | None = None
    async with aclosing(client.stream(asked.question.text, **_how(asked))) as events:
        async for event in events:
            if isinstance(event, Started):
                plan = event.plan
            elif isinstance(event, AnswerDelta):
                first_s = time.monotonic() - started if first_s is None else first_s
                pieces.append(event.text)
            elif isinstance(event, Done):
                reply = event.reply
            if leaves and isinstance(event, AnswerDelta | SampleDelta):
                break
    return Outcome(asked, plan, reply, "".join(pieces), time.monotonic() - started, first_s)


def _how(asked: Asked) -> Ask:
    leaves = asked.question.way is Way.LEFT
    how = Ask(
        request_id=asked.request_id,
        sampling=Sampling(seed=asked.seed, max_tokens=LONG_TOKENS if leaves else None),
        constraints=Constraints(plan=asked.plan),
        return_samples=leaves,  # pieces of samples are told, also by plans that show text at the end only
    )
    if leaves:
        how["extra"] = {"min_tokens": LONG_TOKENS}
    return how


@dataclass(frozen=True, slots=True)
class Books:
    """What the service has written down: its ledger, and the row of every query by request id."""

    status: ServerStatus
    rows: dict[str, LoggedDecision]

    @property
    def spent_micros(self) -> int:
        """What the rows say was spent, each rounded up as the ledger does."""
        return sum(row.usage.cost_micros for row in self.rows.values())


def read_books(admin: str, request_ids: Sequence[str]) -> Books:
    """The books once every query has its row and nothing is reserved, or as they are after a minute."""
    return asyncio.run(_read_books(admin, set(request_ids)))


async def _read_books(admin: str, wanted: set[str]) -> Books:
    ends = time.monotonic() + LOGGED_WITHIN_S
    async with AdminClient(admin, timeout_s=PATIENCE_S) as client:
        while True:
            rows = {row.request_id: row async for row in client.decisions()}
            status = await client.status()
            settled = wanted <= set(rows) and not status.budget_reserved_micros and not status.in_flight
            if settled or time.monotonic() >= ends:
                return Books(status, rows)
            await asyncio.sleep(0.2)
