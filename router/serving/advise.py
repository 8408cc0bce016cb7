"""`Advise`: one caller's stream of samples in, what to do with them out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from router.admission.tenant_limits import TenantLimits
from router.advising.advisor import Advisor
from router.advising.feed import Advice, Brought
from router.checks.queries import Known
from router.connections.slow_reader import taken
from router.domain.events import Done, Started
from router.errors import InvalidQuery
from router.serving.calls import OPENING_S, Call, Send
from router.v1 import apportion_router_pb2 as pb
from router.wire.advice import advice_reply, read_opening, read_sample
from router.wire.query import read_options, read_query

Messages = AsyncIterator[pb.AdviseRequest | InvalidQuery]

GONE_S = 0.02  # gRPC ends the messages of a call just before it cancels it


@dataclass(frozen=True, slots=True)
class Advising:
    """Reads the wire for the advisor, and writes what it says."""

    advisor: Advisor
    known: Known
    limits: TenantLimits

    async def answer(self, messages: Messages, call: Call, send: Send, new_id: Callable[[], str]) -> None:
        """One stream. Raises `RouterError`."""
        request = await _opening(messages)
        query = read_query(request, self.known, new_id)
        options = read_options(request, stream=False, time_left_s=call.time_left_s, trace=call.trace)

        async def tell(event: Started | Advice | Done) -> None:
            if isinstance(event, Started):
                call.decision_id = event.decision_id
                return
            await taken(send(advice_reply(call.decision_id, event, request)))

        with self.limits.enter(query.tenant):
            await self.advisor.advise(query, options, _samples(messages), tell)


async def _opening(messages: Messages) -> pb.GenerateRequest:
    try:
        async with asyncio.timeout(OPENING_S):
            first = await anext(messages, None)
    except TimeoutError as error:
        problem = f"the query did not come within {OPENING_S:g} s of the call"
        raise InvalidQuery("message", problem, "`request` first") from error
    return read_opening(first)


async def _samples(messages: Messages) -> AsyncIterator[Brought | InvalidQuery]:
    async for message in messages:
        try:
            yield message if isinstance(message, InvalidQuery) else read_sample(message)
        except InvalidQuery as error:
            yield error
    await asyncio.sleep(GONE_S)  # who left is not taken for one who has nothing more to send
