"""The Router service: queries, decisions and advice for callers with models of their own, usage and outcomes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from predictors.observation import Query
from router.admission.idempotency import Claim, Replays, digest_of
from router.admission.tenant_limits import Answers
from router.advising.held_reservations import HeldReservations
from router.checks.fields import short_text
from router.checks.queries import DEFAULT_TENANT, Known
from router.domain.events import Done, Started
from router.domain.options import Options
from router.errors import InvalidQuery
from router.reports import Reports
from router.serving.advise import Advising, Messages
from router.serving.batches import BatchCalls
from router.serving.calls import Call, Send
from router.serving.deltas import OpenStreams
from router.serving.outcome_commits import Commits
from router.serving.stream import KEEP_ALIVE, Stream, StreamedReply, deltas, tell_again
from router.v1 import apportion_router_pb2 as pb
from router.wire.admin import PlanInfos
from router.wire.outcome import read_outcome
from router.wire.parts import Prices
from router.wire.query import read_options, read_query
from router.wire.reply import decided, estimated, reply
from router.wire.usage import read_usage

REFUSALS_TOLD = 100
ENVELOPE_BYTES = 1024  # of the stream's event around a reply, and of the note that samples are missing
QUERY_CALLS = frozenset(("Generate", "GenerateStream", "Decide", "Advise", "EstimateCost"))


@dataclass(frozen=True, slots=True)
class Kept:
    """A finished reply as it went over the wire, and whether it streamed."""

    reply: bytes
    commit: pb.Commit.ValueType


@dataclass(frozen=True, slots=True)
class RouterCalls:
    """What the calls do. A query under a request id of the caller's own is worked off once."""

    allocator: Answers
    held: HeldReservations
    advising: Advising
    known: Known
    prices: Prices
    plans: PlanInfos
    replays: Replays[Kept]
    max_message_bytes: int
    wall_s: Callable[[], float]
    reports: Reports
    batches: BatchCalls
    new_id: Callable[[], str]
    keep_alive_s: float = 15.0
    streams: OpenStreams = field(default_factory=OpenStreams)

    async def generate(self, request: pb.GenerateRequest, call: Call) -> bytes:
        """The whole walk; the reply at its end."""
        query = read_query(request, self.known, self.new_id)
        options = read_options(request, stream=False, time_left_s=call.time_left_s, trace=call.trace)
        if not request.request_id:
            return (await self._answer(query, options, request, call)).SerializeToString()
        with await self._claim(request) as claim:
            if claim.result is None:
                answer = (await self._answer(query, options, request, call)).SerializeToString()
                claim.finish(Kept(answer, pb.COMMIT_AT_END), len(answer))
                return answer
        call.decision_id = pb.GenerateReply.FromString(claim.result.reply).decision_id
        return claim.result.reply

    async def generate_stream(self, request: pb.GenerateRequest, call: Call, send: Send) -> None:
        """The whole walk, told as it happens. Who joins a running request is told its end."""
        query = read_query(request, self.known, self.new_id)
        options = read_options(request, stream=True, time_left_s=call.time_left_s, trace=call.trace)
        async with (
            Stream(send, KEEP_ALIVE, self.keep_alive_s) as stream,
            deltas(stream, self.streams) as committed,
        ):
            telling = StreamedReply(stream, committed, request, self.prices, call, query.request_id)
            if not request.request_id:
                answer = await self._told(query, options, telling)
                await stream.write(pb.GenerateStreamEvent(done=pb.Done(reply=answer)))
                return
            with await self._claim(request) as claim:
                if claim.result is None:
                    answer = await self._told(query, options, telling)
                    data = answer.SerializeToString()
                    commit = pb.COMMIT_FIRST_TOKEN if telling.streams else pb.COMMIT_AT_END
                    claim.finish(Kept(data, commit), len(data))
                    await stream.write(pb.GenerateStreamEvent(done=pb.Done(reply=answer)))
                    return
            kept = pb.GenerateReply.FromString(claim.result.reply)
            call.decision_id = kept.decision_id
            await tell_again(stream, kept, claim.result.commit)

    async def decide(self, request: pb.GenerateRequest, call: Call) -> pb.DecideReply:
        """The first decision alone."""
        query = read_query(request, self.known, self.new_id)
        options = read_options(request, stream=False, time_left_s=call.time_left_s, trace=call.trace)
        done = await self.allocator.decide(query, options, self.held.take)
        call.decision_id = done.decision.decision_id
        return decided(
            done.decision,
            done.plan,
            done.chosen.forecasts,
            plans=self.plans,
            probabilities=request.return_probabilities,
        )

    async def advise(self, messages: Messages, call: Call, send: Send) -> None:
        """The whole decision over samples that the caller draws."""
        await self.advising.answer(messages, call, send, self.new_id)

    async def report_usage(self, request: pb.ReportUsageRequest, call: Call) -> pb.ReportUsageReply:
        """What a decided or advised query has really used so far."""
        decision_id = short_text("decision_id", request.decision_id)
        reported = self.held.report(
            decision_id, read_usage(request.by_backend), final=request.final, tenant=call.tenant
        )
        call.decision_id = decision_id
        return pb.ReportUsageReply(charged=reported.charged, returned=reported.returned)

    async def estimate_cost(self, request: pb.GenerateRequest, call: Call) -> pb.EstimateCostReply:
        """A dry run."""
        query = read_query(request, self.known, self.new_id)
        options = read_options(request, stream=False, time_left_s=call.time_left_s)
        return estimated(self.allocator.estimate(query, options))

    async def report_outcome(self, report: pb.ReportOutcomeRequest, call: Call) -> pb.ReportOutcomeReply:
        """One outcome; OK means committed."""
        outcome = read_outcome(report, self.new_id, self.wall_s())
        (new,) = await self.reports.take([outcome])
        call.decision_id = outcome.decision_id
        return pb.ReportOutcomeReply(key=outcome.key, duplicate=not new)

    async def report_outcomes(
        self, reports: AsyncIterator[pb.ReportOutcomeRequest | InvalidQuery], call: Call
    ) -> pb.ReportOutcomesReply:
        """Many outcomes; the bad ones are counted and told, the others committed."""
        total, commits = pb.ReportOutcomesReply(), Commits(self.reports)
        position = -1
        try:
            async for report in reports:
                position += 1
                try:
                    if isinstance(report, InvalidQuery):
                        raise report
                    outcome = read_outcome(report, self.new_id, self.wall_s())
                except InvalidQuery as error:
                    total.refused += 1
                    if len(total.refusals) < REFUSALS_TOLD:
                        total.refusals.add(position=position, field=error.field, problem=str(error))
                else:
                    await commits.add(outcome)
            await commits.finish()
        finally:
            await commits.close()
        total.committed, total.duplicates = commits.committed, commits.duplicates
        return total

    async def create_batch(self, request: pb.CreateBatchRequest, call: Call) -> pb.CreateBatchReply:
        """Many queries under one budget; they are worked off in the background."""
        return await self.batches.create(request)

    async def get_batch(self, request: pb.GetBatchRequest, call: Call) -> pb.GetBatchReply:
        """How far it is."""
        return await self.batches.get(request, call.tenant)

    async def cancel_batch(self, request: pb.CancelBatchRequest, call: Call) -> pb.CancelBatchReply:
        """Begin nothing more of it."""
        return await self.batches.cancel(request, call.tenant)

    async def list_batch_results(
        self, request: pb.ListBatchResultsRequest, call: Call
    ) -> pb.ListBatchResultsReply:
        """In the order they came."""
        return await self.batches.results(request, call.tenant)

    async def _claim(self, request: pb.GenerateRequest) -> Claim[Kept]:
        body = digest_of(request.SerializeToString(deterministic=True))
        return await self.replays.claim((request.tenant or DEFAULT_TENANT, request.request_id), body)

    async def _answer(
        self, query: Query, options: Options, request: pb.GenerateRequest, call: Call
    ) -> pb.GenerateReply:
        async with aclosing(self.allocator.run(query, options)) as events:
            async for event in events:
                if isinstance(event, Started):
                    call.decision_id = event.decision_id
                elif isinstance(event, Done):
                    return self._fitted(reply(event, request, self.prices))
        raise AssertionError("the allocator ended without Done")

    async def _told(self, query: Query, options: Options, telling: StreamedReply) -> pb.GenerateReply:
        async with aclosing(self.allocator.run(query, options)) as events:
            async for event in events:
                if answer := await telling.tell(event):
                    return self._fitted(answer)
        raise AssertionError("the allocator ended without Done")

    def _fitted(self, answer: pb.GenerateReply) -> pb.GenerateReply:
        """The reply without samples that would make it larger than a message may be; it says so."""
        if answer.samples and answer.ByteSize() > self.max_message_bytes - ENVELOPE_BYTES:
            answer.decision.degraded.append(
                f"{len(answer.samples)} samples left out: the reply was too large"
            )
            del answer.samples[:]
        return answer
