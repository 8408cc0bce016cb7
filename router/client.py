"""The typed client: `Client` for asyncio, `SyncClient` for everybody else, `AdminClient` for operators.

    async with Client("127.0.0.1:50051") as client:
        reply = await client.generate("What is 17 * 23?")
        print(reply.text, reply.decision.plan, reply.usage.dollars)
        await client.report(reply.decision_id, "correct", True)

Every call has a deadline (`timeout_s`), is tried again within it where that is safe (`retries`), and raises an
`ApportionError`. Nothing of the generated code is needed.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc

from predictors.observation import Constraints, Message, Part, Preferences, Sampling, Tool, ToolCall
from router.clients.admin import AdminClient, SyncAdminClient
from router.clients.advice import Advice
from router.clients.advice_sync import SyncAdvice
from router.clients.advice_types import Charged, Drawn, More, usage_request
from router.clients.batches import Batches, BatchQuery, BatchResult, BatchStatus, SyncBatches
from router.clients.channel import (
    DEFAULT_RETRIES,
    DEFAULT_TARGET,
    DEFAULT_TIMEOUT_S,
    SERVICE_CONFIG,
    AioStub,
)
from router.clients.errors import (
    ApportionError,
    Busy,
    Conflict,
    InvalidRequest,
    NotFound,
    OutOfBudget,
    Refused,
    TooLate,
    Unavailable,
    translated,
)
from router.clients.read import read_decided, read_estimate, read_event, read_reply, read_reported_many
from router.clients.request import Ask, generate_request, message, outcome_request
from router.clients.retry import Attempts
from router.clients.sync import SyncClient
from router.clients.tls import TLS
from router.clients.values import (
    AnswerDelta,
    Decided,
    Done,
    Estimate,
    Reply,
    Report,
    Reported,
    ReportedMany,
    SampleDelta,
    SampleEnded,
    Started,
    StreamEvent,
    Used,
    Verdict,
)
from router.domain.backend_state import BackendState
from router.domain.decision import Keep, Mode, Status
from router.v1 import apportion_router_pb2 as pb
from router.v1 import apportion_router_pb2_grpc as pb_grpc

__all__ = [
    "SERVICE_CONFIG",
    "TLS",
    "AdminClient",
    "Advice",
    "AnswerDelta",
    "ApportionError",
    "Ask",
    "BackendState",
    "BatchQuery",
    "BatchResult",
    "BatchStatus",
    "Batches",
    "Busy",
    "Charged",
    "Client",
    "Conflict",
    "Constraints",
    "Decided",
    "Done",
    "Drawn",
    "Estimate",
    "InvalidRequest",
    "Keep",
    "Message",
    "Mode",
    "More",
    "NotFound",
    "OutOfBudget",
    "Part",
    "Preferences",
    "Refused",
    "Reply",
    "Report",
    "Reported",
    "ReportedMany",
    "SampleDelta",
    "SampleEnded",
    "Sampling",
    "Started",
    "Status",
    "StreamEvent",
    "SyncAdminClient",
    "SyncAdvice",
    "SyncBatches",
    "SyncClient",
    "TooLate",
    "Tool",
    "ToolCall",
    "Unavailable",
    "Used",
    "Verdict",
    "message",
]

Result = TypeVar("Result")


class Client:
    """The service over asyncio. One per process and target; calls may run side by side."""

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,  # of a call, all its attempts included
        retries: int = DEFAULT_RETRIES,
        rng: random.Random | None = None,  # of the jitter
        token: str = "",  # says who calls, where the service asks for it
        tls: TLS | None = None,
    ) -> None:
        self.timeout_s, self.retries = timeout_s, retries
        self._rng = rng or random.Random()
        self._stub = AioStub(pb_grpc.RouterStub, target, token, tls)
        self.batches = Batches(self._stub, self._call)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; calls that run are cancelled."""
        await self._stub.close()

    async def generate(
        self,
        prompt: str | Sequence[Message],
        *,
        timeout_s: float | None = None,
        retries: int | None = None,
        **ask: Unpack[Ask],
    ) -> Reply:
        """Answer a prompt, or a conversation.

            reply = await client.generate("2 + 2?", constraints=Constraints(max_cost_micros=200), task_hint="math")

        Tried again under its request id, so that no work is done twice. Raises `ApportionError`.
        """
        request = generate_request(prompt, ask)
        return read_reply(await self._call(self._stub.Generate, request, timeout_s, retries))

    async def stream(
        self,
        prompt: str | Sequence[Message],
        *,
        timeout_s: float | None = None,
        retries: int | None = None,
        **ask: Unpack[Ask],
    ) -> AsyncGenerator[StreamEvent, None]:
        """The same, told as it happens: `Started`, `AnswerDelta`s (joined they are the answer), `Done`.

            async for event in client.stream("Tell me a story"):
                if isinstance(event, AnswerDelta):
                    print(event.text, end="")

        Tried again only before the first event. Leaving the loop cancels the call. Raises `ApportionError`.
        """
        request = generate_request(prompt, ask)
        attempts = self._attempts(timeout_s, retries, repeatable=True)
        while True:
            told = False
            call = self._stub.GenerateStream(request, timeout=attempts.deadline_s - time.monotonic())
            try:
                async for arrived in call:
                    if event := read_event(arrived):
                        told = True
                        yield event
                return
            except grpc.RpcError as error:
                await self._wait(attempts, error, told=told)
            finally:
                call.cancel()

    async def decide(
        self,
        prompt: str | Sequence[Message],
        *,
        timeout_s: float | None = None,
        retries: int | None = None,
        **ask: Unpack[Ask],
    ) -> Decided:
        """The first decision alone, logged, for callers that call models themselves."""
        request = generate_request(prompt, ask)
        return read_decided(
            await self._call(self._stub.Decide, request, timeout_s, retries, repeatable=False)
        )

    def advise(
        self, prompt: str | Sequence[Message], *, timeout_s: float | None = None, **ask: Unpack[Ask]
    ) -> Advice:
        """The whole decision over samples that you draw, from models that you call.

            async with client.advise("What is 17 * 23?") as advice:
                async for more in advice:  # more.backend, more.messages, more.sampling, more.count
                    for text, used in await my_models.draw(more):
                        await advice.send(Drawn(text, used))
            print(advice.answer.text)

        The worst case stays reserved until all samples that were asked for are sent, finished or cut, with their
        usage: on the call, also after there is enough, or by `report_usage`. Leaving the block early asks for the
        answer so far; an error in it cuts the call. Tried again only where the service did nothing yet.
        """
        opening = pb.AdviseRequest(request=generate_request(prompt, ask))
        attempts = self._attempts(timeout_s, None, repeatable=False)
        return Advice(self._stub.Advise, opening, attempts, self._wait)

    async def report_usage(
        self,
        decision_id: str,
        by_backend: Mapping[str, Used],
        *,
        final: bool = True,
        timeout_s: float | None = None,
        retries: int | None = None,
    ) -> Charged:
        """Say what a decided or advised query used, in total so far; `final`: no more, the rest goes back.

            decided = await client.decide("What is 17 * 23?")
            ...  # call the models of decided.plan
            await client.report_usage(decided.decision_id, {"small": Used(tokens_in=12, tokens_out=3, samples=1)})

        To the replica that decided: another one says `NotFound`. Twice is as once.
        """
        request = usage_request(decision_id, by_backend, final=final)
        reply = await self._call(self._stub.ReportUsage, request, timeout_s, retries)
        return Charged(reply.charged, reply.returned)

    async def estimate(
        self,
        prompt: str | Sequence[Message],
        *,
        timeout_s: float | None = None,
        retries: int | None = None,
        **ask: Unpack[Ask],
    ) -> Estimate:
        """What would be chosen and what it would cost; nothing is logged, reserved or drawn."""
        request = generate_request(prompt, ask)
        return read_estimate(await self._call(self._stub.EstimateCost, request, timeout_s, retries))

    async def report(
        self,
        decision_id: str,
        metric: str,
        value: float | bool | str,
        *,
        kind: str = "",
        source: str = "",
        weight: float | None = None,
        sample_id: str = "",
        key: str = "",
        supersedes: str = "",
        tenant: str = "",
        timeout_s: float | None = None,
        retries: int | None = None,
    ) -> Reported:
        """Say what became of a decision of `tenant` (as the query said; a token says it); then it is committed.

        await client.report(reply.decision_id, "thumbs", "up", source="user")
        """
        report = Report(
            metric,
            value,
            decision_id=decision_id,
            kind=kind,
            sample_id=sample_id,
            source=source,
            weight=weight,
            key=key,
            supersedes=supersedes,
            tenant=tenant,
        )
        reply = await self._call(self._stub.ReportOutcome, outcome_request(report), timeout_s, retries)
        return Reported(reply.key, reply.duplicate)

    async def report_many(
        self, reports: Sequence[Report], *, timeout_s: float | None = None, retries: int | None = None
    ) -> ReportedMany:
        """Many reports on one stream; the bad ones are named in the result, the others committed."""
        requests = [outcome_request(report) for report in reports]

        def call(_: object, timeout: float) -> Any:
            return self._stub.ReportOutcomes(iter(requests), timeout=timeout)

        return read_reported_many(await self._call(call, None, timeout_s, retries))

    def _attempts(self, timeout_s: float | None, retries: int | None, *, repeatable: bool) -> Attempts:
        deadline_s = time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)
        return Attempts(deadline_s, self.retries if retries is None else retries, self._rng, repeatable)

    async def _call(
        self,
        method: Callable[..., Awaitable[Result]],
        request: object,
        timeout_s: float | None,
        retries: int | None,
        *,
        repeatable: bool = True,
    ) -> Result:
        attempts = self._attempts(timeout_s, retries, repeatable=repeatable)
        while True:
            try:
                return await method(request, timeout=attempts.deadline_s - time.monotonic())
            except grpc.RpcError as error:
                await self._wait(attempts, error)

    async def _wait(self, attempts: Attempts, error: grpc.RpcError, *, told: bool = False) -> None:
        """Sleep until the next attempt; raise where there is none."""
        failure = translated(error)
        wait_s = None if told else attempts.wait_s(failure, time.monotonic())
        if wait_s is None:
            raise failure from error
        await asyncio.sleep(wait_s)
