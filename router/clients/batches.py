"""Many queries under one budget: `client.batches`, with and without asyncio."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from predictors.observation import Message
from router.clients.channel import AioStub
from router.clients.read import read_reply
from router.clients.request import Ask, generate_request
from router.clients.values import Reply
from router.v1 import apportion_router_pb2 as pb
from router.v1 import apportion_router_pb2_grpc as pb_grpc
from router.wire.parts import timestamp

PAGE = 200


@dataclass(frozen=True, slots=True)
class BatchQuery:
    """One query of a batch."""

    prompt: str | Sequence[Message]
    ask: Ask = field(default_factory=Ask)


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """How far a batch is. Money is micro-dollars."""

    batch_id: str
    state: str  # "running", "done", "cancelled", "budget_exhausted"
    total: int
    done: int
    failed: int
    spent_micros: int
    budget_micros: int | None

    @property
    def running(self) -> bool:
        """Whether results are still to come."""
        return self.state == "running"


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of one query."""

    position: int  # in the batch, from 0
    reply: Reply | None  # None: it failed, and the rest says why
    code: str = ""  # a gRPC status name
    reason: str = ""
    message: str = ""


class Batches:
    """Batches over asyncio; `Client.batches`."""

    def __init__(self, stub: AioStub, call: Callable[..., Awaitable[Any]]) -> None:
        self._stub, self._call = stub, call

    async def create(
        self,
        queries: Sequence[BatchQuery],
        *,
        batch_id: str,  # under it the batch is found again; the same queries twice are one batch
        budget_micros: int | None = None,  # None: what the tenant has
        finish_by: dt.datetime | None = None,  # what has not begun by then fails
    ) -> BatchStatus:
        """Hand them over; they are worked off in the background. More money lets one go on that ran out of it."""
        request = _creation(queries, batch_id, budget_micros, finish_by)
        return _status((await self._call(self._stub.CreateBatch, request, None, None)).batch)

    async def get(self, batch_id: str) -> BatchStatus:
        """How far it is. Raises `NotFound`."""
        request = pb.GetBatchRequest(batch_id=batch_id)
        return _status((await self._call(self._stub.GetBatch, request, None, None)).batch)

    async def cancel(self, batch_id: str) -> BatchStatus:
        """Begin nothing more of it. Raises `NotFound`."""
        request = pb.CancelBatchRequest(batch_id=batch_id)
        return _status((await self._call(self._stub.CancelBatch, request, None, None)).batch)

    async def results(self, batch_id: str, after: int = 0) -> AsyncIterator[BatchResult]:
        """All that are there beyond the first `after`, in the order they came. Raises `NotFound`."""
        request = _page(batch_id, after)
        while True:
            page = await self._call(self._stub.ListBatchResults, request, None, None)
            for result in page.results:
                yield _result(result)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token


class SyncBatches:
    """The same without asyncio; `SyncClient.batches`."""

    def __init__(self, stub: pb_grpc.RouterStub, call: Callable[..., Any]) -> None:
        self._stub, self._call = stub, call

    def create(
        self,
        queries: Sequence[BatchQuery],
        *,
        batch_id: str,
        budget_micros: int | None = None,
        finish_by: dt.datetime | None = None,
    ) -> BatchStatus:
        """See `Batches.create`."""
        request = _creation(queries, batch_id, budget_micros, finish_by)
        return _status(self._call(self._stub.CreateBatch, request, None, None).batch)

    def get(self, batch_id: str) -> BatchStatus:
        """See `Batches.get`."""
        request = pb.GetBatchRequest(batch_id=batch_id)
        return _status(self._call(self._stub.GetBatch, request, None, None).batch)

    def cancel(self, batch_id: str) -> BatchStatus:
        """See `Batches.cancel`."""
        request = pb.CancelBatchRequest(batch_id=batch_id)
        return _status(self._call(self._stub.CancelBatch, request, None, None).batch)

    def results(self, batch_id: str, after: int = 0) -> Iterator[BatchResult]:
        """See `Batches.results`."""
        request = _page(batch_id, after)
        while True:
            page = self._call(self._stub.ListBatchResults, request, None, None)
            for result in page.results:
                yield _result(result)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token


def _creation(
    queries: Sequence[BatchQuery], batch_id: str, budget: int | None, finish_by: dt.datetime | None
) -> pb.CreateBatchRequest:
    request = pb.CreateBatchRequest(batch_id=batch_id)
    for at, query in enumerate(queries):
        asked = generate_request(query.prompt, query.ask)
        if not query.ask.get("request_id"):
            asked.request_id = f"{batch_id}/{at}"  # not a new one: the same queries are the same batch
        request.requests.append(asked)
    if budget is not None:
        request.budget = budget
    if finish_by is not None:
        request.finish_by.CopyFrom(timestamp(finish_by.timestamp()))
    return request


def _page(batch_id: str, after: int) -> pb.ListBatchResultsRequest:
    return pb.ListBatchResultsRequest(
        batch_id=batch_id, page_size=PAGE, page_token=str(after) if after else ""
    )


def _status(batch: pb.Batch) -> BatchStatus:
    return BatchStatus(
        batch.batch_id,
        pb.BatchState.Name(batch.state).removeprefix("BATCH_STATE_").lower(),
        batch.total,
        batch.done,
        batch.failed,
        batch.spent,
        batch.budget if batch.HasField("budget") else None,
    )


def _result(result: pb.BatchResult) -> BatchResult:
    if result.HasField("reply"):
        return BatchResult(result.position, read_reply(result.reply))
    error = result.error
    return BatchResult(result.position, None, error.code, error.reason, error.message)
