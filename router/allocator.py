"""THE STORY: one query from its first look to its logged row. Every arrow of the walk starts here.

    look and choose a plan -> reserve its worst case -> for every stage: draw samples, give each its
    answer class, ask the rule after each -> select -> settle -> record

It knows no protobuf, no HTTP, no file: those who do hand it a `Query` and read its events. Leaving the
generator, at any time and for any reason, frees the backends, settles the ledger and logs the row.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from predictors.observation import Observation, Query, Sample
from router.allocation.apply_verdict import apply_verdict, close, to_close
from router.allocation.asker import Asker
from router.allocation.books import Books
from router.allocation.growing_signals import growing_signals
from router.allocation.progress import Progress
from router.allocation.stage_call import stage_call
from router.allocation.verified_score import verified_score
from router.answering.classes import AnswerClasses, voted
from router.answering.recount import recount
from router.answers import extract
from router.backends import Backend, Call
from router.domain import running
from router.domain.decision import Decision, Mode, Status
from router.domain.events import AnswerDelta, Delta, Done, Event, Judged, SampleEnded, Started
from router.domain.growth import growth_of
from router.domain.options import Options
from router.domain.plan import Plan, Stage
from router.domain.verdict import ENOUGH, MORE, Action, Verdict
from router.errors import BackendGarbled, BackendTimeout, BackendUnavailable, DeadlineExceeded, NoPlan
from router.first_decision.choose import Chosen
from router.selectors import Selection
from router.stopping.said_by import said_by
from router.switches.backend_switch import BackendSwitch, Flight

TRANSIENT = (BackendUnavailable, BackendTimeout, BackendGarbled)  # another backend may do better


@dataclass(frozen=True, slots=True)
class Decided:
    """The first decision alone."""

    decision: Decision
    plan: Plan
    chosen: Chosen


class Allocator:
    """Answers queries. One per process; all state of a query is in its `Progress`."""

    def __init__(
        self,
        books: Books,
        backends: Mapping[str, Backend],
        classes: AnswerClasses,
        settle: Callable[[Progress], int] | None = None,  # in place of `Books.settle`
    ) -> None:
        self.books, self.backends, self.classes, self.settle = books, backends, classes, settle
        self.asker = Asker(books, backends, classes, self.switch)
        self.settings = books.settings
        self.monotonic_s = books.monotonic_s
        self.in_flight = 0

    @property
    def switch(self) -> BackendSwitch:
        """What operators let the backends do, and what runs on them."""
        return self.books.chooser.feasibility.switch

    def warm(self) -> None:
        """Begin what the first query would wait for: where answers are read as mathematics, its process."""
        settings = self.settings
        if "math" in (settings.answers, *settings.answers_by_task.values()):
            self.classes.warm()

    # ------------------------------------------------------------------------------------------------ the walk

    async def run(self, query: Query, options: Options) -> AsyncGenerator[Event, None]:
        """Answer a query: Started, what happens (as `options` asks), Done.

        Raises `RouterError`; where a decision was begun the error carries its id, and the row is logged all the same.
        """
        progress = self.books.begin(query, options)
        progress.lap("choose", self.monotonic_s())
        running.decision_id.set(progress.decision_id)
        self.in_flight += 1
        try:
            with progress.ending():
                if progress.out_of_reach:
                    yield started(progress, progress.predictions.version, streams=False)
                    progress.abstain()
                else:
                    await self.books.reserve(progress)
                    progress.lap("reserve", self.monotonic_s())
                    bundle = progress.predictions.version
                    yield started(progress, bundle, streams=progress.streams)
                    async with aclosing(self._stages(progress)) as events:
                        async for event in events:
                            yield event
                    progress.lap("sample", self.monotonic_s())
                    await self._select(progress)
                    progress.lap("select", self.monotonic_s())
        finally:
            self.in_flight -= 1
            decision = self.books.end(progress, self.settle)
        assert progress.selection is not None  # noqa: S101 (`_select` sets it or raises)
        picked = progress.selection.samples[: query.answers]
        if options.stream and not progress.streams and picked:
            yield AnswerDelta(picked[0].text, picked[0].reasoning, token_logprobs=picked[0].token_logprobs)
        yield Done(decision, tuple(progress.samples.values()), picked, tuple(progress.looks))

    async def _stages(self, progress: Progress) -> AsyncGenerator[Event, None]:
        """Run the plan's stages; where its backends fail, go on with what is left of it or of the other plans."""
        while True:
            try:
                async with aclosing(self._plan(progress)) as events:
                    async for event in events:
                        yield event
                return
            except TRANSIENT as error:
                if progress.streams and progress.first_text_s is not None:
                    raise  # committed text cannot be taken back
                progress.failed(progress.plan.stages[-1].backend, error)
                if progress.finished():
                    progress.stop_reason = "failed: the last stage broke off"
                    return
                progress.failed_backends.update(self.switch.closed())
                await self.books.fail_over(progress, error)

    async def _plan(self, progress: Progress) -> AsyncGenerator[Event, None]:
        last = len(progress.plan.stages) - 1
        left = deque(enumerate(progress.plan.stages))
        while left:
            index, stage = left.popleft()
            if (
                stage.gate
                and not stage.gate.opens(progress.signals)
                and (index < last or progress.finished())
            ):
                continue
            progress.enter(progress.stage_base + index, stage)
            try:
                async with aclosing(self._stage(progress, index, stage)) as events:
                    async for event in events:
                        yield event
                        if isinstance(event, Judged) and event.verdict.action is Action.ENOUGH:
                            return
            except TRANSIENT as error:
                if await self.books.begin_again(progress, index, self.backends[stage.backend], error):
                    left.appendleft((index, stage))
                elif index == last:
                    raise
                else:
                    progress.failed(stage.backend, error)
            except TimeoutError:
                progress.out_of_time()
                return
        progress.stop_reason = "exhausted"

    async def _stage(self, progress: Progress, index: int, stage: Stage) -> AsyncGenerator[Event, None]:
        bound = self.books.chooser.forecaster.bounds[stage.backend]
        call = stage_call(progress, index, stage, bound, seed=self.settings.seed, now_s=self.monotonic_s())
        tell = progress.options.tell
        draw, most = self.backends[stage.backend].sample, (call.max_samples, call.width)
        last = index == len(progress.plan.stages) - 1
        async with (
            self.switch.flight(stage.backend, *most, self._loop_deadline(progress)) as flight,
            aclosing(draw(call, progress.meter)) as arrivals,  # type: ignore[type-var]  # all are generators
        ):
            while True:
                arrival = await flight.next(arrivals)
                if arrival is None:
                    return
                if isinstance(arrival, Delta):
                    for event in self._passed_on(progress, arrival):
                        yield event
                    continue
                sample, seen = await self._taken_in(progress, stage, arrival, flight, call)
                if tell and sample.finished:
                    yield SampleEnded(sample)
                verdict, reason = await self._verdict(progress, stage, sample, seen)
                apply_verdict(verdict, reason, progress, call)
                if close(to_close(verdict, sample, progress, last=last), call, progress):
                    async for event in self._closed(progress, stage, flight, arrivals, call):
                        yield event
                if tell or verdict.action is Action.ENOUGH:
                    yield Judged(progress.stage, verdict, reason)
                if verdict.action in (Action.ENOUGH, Action.ESCALATE):
                    return

    async def _closed(
        self,
        progress: Progress,
        stage: Stage,
        flight: Flight,
        arrivals: AsyncIterator[Sample | Delta],
        call: Call,
    ) -> AsyncGenerator[Event, None]:
        """Wait until the samples that are to end have ended; where that fails their tentative answers must do."""
        try:
            while call.closing:
                arrival = await flight.next(arrivals)
                if arrival is None:
                    return
                if isinstance(arrival, Delta):
                    for event in self._passed_on(progress, arrival):
                        yield event
                    continue
                sample, _ = await self._taken_in(progress, stage, arrival, flight, call)
                if sample.finished:
                    call.closing.discard(sample.sample_id)
                    if progress.options.tell:
                        yield SampleEnded(sample)
        except TRANSIENT as error:
            progress.degraded.append(
                f"backend {stage.backend!r} failed while a sample was closed: {error.wordless}"
            )

    def _passed_on(self, progress: Progress, delta: Delta) -> Sequence[Event]:
        told: tuple[Event, ...] = (delta,) if progress.options.tell else ()
        if not (progress.streams and delta.says):
            return told
        self._committed(progress)
        progress.streamed.append(delta)
        return AnswerDelta(delta.text, delta.reasoning, delta.calls, delta.token_logprobs), *told

    async def _taken_in(
        self, progress: Progress, stage: Stage, arrival: Sample, flight: Flight, call: Call
    ) -> tuple[Sample, Observation]:
        if arrival.finished:
            flight.sample_ended()
            self.books.watch(progress, arrival, call.sampling.max_tokens)
        return await self._arrived(progress, stage, arrival)

    async def _arrived(self, progress: Progress, stage: Stage, sample: Sample) -> tuple[Sample, Observation]:
        """Give a sample its answer and class, count its vote, then look at what came back."""
        if sample.finished and not sample.tool_calls:
            kind = self.settings.answer_kind(progress.query)
            answer = sample.answer if sample.answer is not None else extract(sample.text, kind)
            number = None if answer is None else await self.classes.classify(progress.tally, answer, kind)
            progress.tally = voted(progress.tally, answer, number)
            sample = replace(sample, answer=answer, answer_class=number)
        elif not sample.finished and sample.answer is not None:
            sample = await self._tentative(progress, sample)
        progress.arrived(sample)
        growth = growth_of(stage.stop)
        if not sample.finished and growth is not None and growth.answers:
            progress.looked(sample)
        seen = progress.observation(stage, self.monotonic_s())
        if not sample.finished and progress.mode is not Mode.BYPASS:
            progress.signals.update(growing_signals(progress.predictions, seen, sample, growth))
        if sample.finished:
            progress.arrivals_s[sample.sample_id] = seen.elapsed_s
        if sample.finished and progress.mode is not Mode.BYPASS:
            progress.judged(sample, progress.predictions.confidence(seen, progress.look))
        return sample, seen

    async def _tentative(self, progress: Progress, sample: Sample) -> Sample:
        """Give the answer of a growing sample its class among those of the looks."""
        kind, answer = self.settings.answer_kind(progress.query), sample.answer or ""
        number = await self.classes.classify(progress.look_classes, answer, kind)
        progress.look_classes = voted(progress.look_classes, answer, number)
        return replace(sample, answer_class=number)

    async def _verdict(
        self, progress: Progress, stage: Stage, sample: Sample, seen: Observation
    ) -> tuple[Verdict, str]:
        verifier = self.books.verifiers.get(progress.query.verifier) or stage.verifier
        if verifier is not None and sample.finished:
            async with asyncio.timeout_at(self._loop_deadline(progress)):
                score = await asyncio.to_thread(verified_score, verifier, progress.query, sample)
            if score is not None:
                progress.signals[f"verified/{sample.sample_id}"] = score
            if score is not None and score >= 1.0:
                progress.verified = sample.sample_id
                return ENOUGH, "verified"
        await self.asker.hear(stage, sample, progress)
        verdict = stage.stop.verdict(seen, progress.signals)
        return verdict, said_by(stage.stop, seen, progress.signals) if verdict is not MORE else ""

    async def _select(self, progress: Progress) -> None:
        """One selection at the end, by the last stage that drew something, over its samples (or all of them)."""
        answered_growing = progress.close_growing()
        finished = progress.finished()
        if not finished:
            if progress.status is Status.DEADLINE_CUT:
                raise DeadlineExceeded("the deadline passed before a sample was finished")
            raise BackendUnavailable(f"no backend of plan {progress.plan.name!r} gave a sample")
        number = finished[-1].stage
        stage = progress.entered[number]
        samples = finished if stage.pool else progress.finished(number)
        tally = progress.tally
        if stage.pool or number != progress.stage or answered_growing:
            samples, tally = await recount(self.classes, samples, self.settings.answer_kind(progress.query))
        if progress.verified:
            samples.sort(key=lambda sample: sample.sample_id != progress.verified)
            selection = Selection(tuple(samples), 1.0)
        else:
            selection = await self.asker.selected(stage, samples, tally, progress)
        others = tuple(sample for sample in samples if sample not in selection.samples)
        progress.selection = Selection(selection.samples + others, selection.confidence)
        first = selection.samples[0]
        if progress.status is Status.ANSWERED and not (first.text or first.tool_calls or first.answer):
            progress.status = Status.ABSTAINED
        self._committed(progress)

    async def decide(
        self, query: Query, options: Options, hold: Callable[[Progress], int] | None = None
    ) -> Decided:
        """The first decision alone, logged; nothing is drawn. `hold` takes over what is reserved, else it goes back.

        Raises `NoPlan` where `run` would abstain.
        """
        progress = self.books.begin(query, options)
        progress.stop_reason = "decided"
        try:
            with progress.ending():
                if progress.out_of_reach:
                    raise NoPlan(progress.chosen.abstains)
                await self.books.reserve(progress)
        finally:
            decision = self.books.end(progress, hold)
        return Decided(decision, progress.plan, progress.chosen)

    def estimate(self, query: Query, options: Options) -> Chosen:
        """What would be chosen, at what odds: nothing is logged, reserved or drawn from a backend."""
        return self.books.begin(query, options, asks=False).chosen

    def _loop_deadline(self, progress: Progress) -> float | None:
        """The query's deadline on the event loop's clock."""
        if progress.deadline_s is None:
            return None
        return asyncio.get_running_loop().time() + progress.deadline_s - self.monotonic_s()

    def _committed(self, progress: Progress) -> None:
        if progress.first_text_s is None:
            progress.first_text_s = self.monotonic_s() - progress.started_s


def started(progress: Progress, bundle: str, *, streams: bool) -> Started:
    """What is known when the plan is drawn; `bundle` is what decides now."""
    version = "" if progress.mode is Mode.BYPASS else bundle
    return Started(progress.decision_id, progress.plan.name, streams, version, tuple(progress.degraded))
