"""The batch calls of the Router service, and how a batch's queries are asked: as `Generate` would."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from predictors.observation import Query
from router.admission.tenant_limits import Answers
from router.batches.batch import Batch, BatchState, Cut, Item, Looked, Result
from router.batches.batches import BatchDesk
from router.checks.fields import Range, short_text
from router.checks.queries import DEFAULT_TENANT, Known
from router.decisions import DecisionStore
from router.domain.events import Done, Started
from router.domain.options import Options
from router.errors import BudgetExceeded, InvalidQuery, Overloaded, RouterError, StoreError
from router.v1 import apportion_router_pb2 as pb
from router.wire.errors import refusal
from router.wire.parts import Prices, from_timestamp, timestamp
from router.wire.query import read_options, read_query
from router.wire.reply import reply

MOST_QUERIES = 10_000
PAGE = Range(1, 1000)
ROW_S = 2.0  # for the row of a query that was cut; its worst case counts where that does not come
DEFAULT_PAGE = 100
BUDGET = Range(0, 10**15)
TEMPORARY = (BudgetExceeded, Overloaded)  # refused before anything was drawn: asked again later
STATES = {
    BatchState.RUNNING: pb.BATCH_STATE_RUNNING,
    BatchState.DONE: pb.BATCH_STATE_DONE,
    BatchState.CANCELLED: pb.BATCH_STATE_CANCELLED,
    BatchState.EXHAUSTED: pb.BATCH_STATE_BUDGET_EXHAUSTED,
}


@dataclass(frozen=True, slots=True)
class AskedOfUs:
    """The contract of `router.batches.batch.Asked`; bodies are `GenerateRequest` and `BatchResult`."""

    allocator: Answers
    known: Known
    prices: Prices
    store: DecisionStore
    new_id: Callable[[], str]

    def look(self, item: Item) -> Looked:
        request = pb.GenerateRequest.FromString(item.body)
        query = read_query(request, self.known, self.new_id)
        chosen = self.allocator.estimate(query, read_options(request, stream=False, time_left_s=None))
        return Looked(chosen.forecasts, chosen.price)

    async def answer(self, item: Item, most: int | None, price: float, time_left_s: float | None) -> Result:
        request = pb.GenerateRequest.FromString(item.body)
        options = read_options(request, stream=False, time_left_s=time_left_s)
        query = at_most(read_query(request, self.known, self.new_id), most)
        try:
            answer = await self._generated(query, replace(options, price=price), request)
        except TEMPORARY as error:
            if error.retry_after_s is None:
                return await self._failed(item, error)
            raise
        except RouterError as error:
            return await self._failed(item, error)
        body = pb.BatchResult(position=item.position, reply=answer).SerializeToString()
        return Result(item.position, body, cost=answer.usage.total.cost)

    def failure(self, item: Item, error: Exception) -> Result:
        told = refusal(error)
        reason = error.reason if isinstance(error, RouterError) else RouterError.reason
        words = pb.BatchError(code=told.code.name, reason=reason, message=told.message)
        body = pb.BatchResult(position=item.position, error=words).SerializeToString()
        return Result(item.position, body, failed=True)

    async def _generated(
        self, query: Query, options: Options, request: pb.GenerateRequest
    ) -> pb.GenerateReply:
        begun = ""
        try:
            async with aclosing(self.allocator.run(query, options)) as events:
                async for event in events:
                    if isinstance(event, Started):
                        begun = event.decision_id
                    if isinstance(event, Done):
                        return reply(event, request, self.prices)
        except asyncio.CancelledError as error:
            cost = await self._charged(begun)
            if cost is None:
                raise
            raise Cut(cost) from error
        raise AssertionError("the allocator ended without Done")

    async def _charged(self, decision_id: str) -> int | None:
        """What a query that was cut has cost, as its row says; None where that is not known."""
        try:
            async with asyncio.timeout(ROW_S):
                row = await self.store.decision(decision_id) if decision_id else None
        except (StoreError, TimeoutError):
            return None
        return None if row is None else row.charged

    async def _failed(self, item: Item, error: RouterError) -> Result:
        """What was drawn before it failed is in the row that it was logged with."""
        row = await self.store.decision(error.decision_id) if error.decision_id else None
        return replace(self.failure(item, error), cost=0 if row is None else row.charged)


def at_most(query: Query, most: int | None) -> Query:
    """The query with its worst case limited to `most` micro-dollars, too."""
    if most is None:
        return query
    own = query.constraints.max_cost_micros
    limit = most if own is None else min(own, most)
    return replace(query, constraints=replace(query.constraints, max_cost_micros=limit))


@dataclass(frozen=True, slots=True)
class BatchCalls:
    """What the four calls do. Raises `RouterError`."""

    desk: BatchDesk
    known: Known
    new_id: Callable[[], str]

    async def create(self, request: pb.CreateBatchRequest) -> pb.CreateBatchReply:
        """Every query is checked before any is kept."""
        if not 0 < len(request.requests) <= MOST_QUERIES:
            raise InvalidQuery("requests", f"{len(request.requests)} queries", f"1 to {MOST_QUERIES}")
        batch_id = short_text("batch_id", request.batch_id) or self.new_id()
        bodies, tenants = [], set()
        for at, asked in enumerate(request.requests):
            if not asked.request_id:
                asked.request_id = f"{batch_id}/{at}"
            try:
                tenants.add(read_query(asked, self.known, self.new_id).tenant)
                read_options(asked, stream=False, time_left_s=None)
            except InvalidQuery as error:
                raise InvalidQuery(f"requests[{at}].{error.field}", error.problem, error.allowed) from error
            bodies.append(asked.SerializeToString(deterministic=True))
        if len(tenants) > 1:
            raise InvalidQuery("requests", "queries of several tenants", "one tenant per batch")
        budget = request.budget if request.HasField("budget") else None
        if budget is not None:
            BUDGET.check("budget", budget)
        until = from_timestamp(request.finish_by) if request.HasField("finish_by") else None
        batch = Batch(batch_id, tenants.pop() or DEFAULT_TENANT, len(bodies), budget, until)
        digest = hashlib.blake2b(b"".join(hashlib.blake2b(body).digest() for body in bodies), digest_size=16)
        return pb.CreateBatchReply(batch=told(await self.desk.create(batch, digest.digest(), bodies)))

    async def get(self, request: pb.GetBatchRequest, tenant: str | None) -> pb.GetBatchReply:
        """How far it is."""
        return pb.GetBatchReply(
            batch=told(await self.desk.get(short_text("batch_id", request.batch_id), tenant))
        )

    async def cancel(self, request: pb.CancelBatchRequest, tenant: str | None) -> pb.CancelBatchReply:
        """Begin nothing more of it."""
        return pb.CancelBatchReply(
            batch=told(await self.desk.cancel(short_text("batch_id", request.batch_id), tenant))
        )

    async def results(
        self, request: pb.ListBatchResultsRequest, tenant: str | None
    ) -> pb.ListBatchResultsReply:
        """In the order they came; while the batch runs, the last page's token goes on where it ended."""
        most = request.page_size or DEFAULT_PAGE
        PAGE.check("page_size", most)
        if (request.page_token and not request.page_token.isascii()) or not (
            request.page_token or "0"
        ).isdigit():
            raise InvalidQuery("page_token", f"{request.page_token!r} is not a token of this call")
        after = int(request.page_token or 0)
        found = await self.desk.results(short_text("batch_id", request.batch_id), tenant, after, most)
        page = pb.ListBatchResultsReply(results=[pb.BatchResult.FromString(one.body) for one in found])
        if len(found) == most:
            page.next_page_token = str(found[-1].number)
        return page


def told(batch: Batch) -> pb.Batch:
    """As the wire says it."""
    found = pb.Batch(
        batch_id=batch.batch_id,
        state=STATES[batch.state],
        total=batch.total,
        done=batch.done,
        failed=batch.failed,
        spent=batch.spent,
        created_at=timestamp(batch.created_at),
    )
    if batch.budget is not None:
        found.budget = batch.budget
    if batch.finish_by is not None:
        found.finish_by.CopyFrom(timestamp(batch.finish_by))
    return found
