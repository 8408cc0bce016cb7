"""Side calls of selectors and rules: their questions are put to backends, booked, and never fail the query.

Nobody is asked for a caller that brings its own samples, while all cleverness is off, of a backend that is closed or
that the caller does not allow, or after the deadline. A question that fails has no reply, and the row says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import cast

from predictors.observation import Query, Sample, Sampling, Tally
from router.allocation.books import Books
from router.allocation.progress import Progress
from router.answering.classes import AnswerClasses
from router.answers import extract
from router.backends import Backend, Call
from router.backends.prompting import with_prompt
from router.domain.asking import RULE_TOKENS, AskingSelector, Question, asking, asking_rules, asks_of
from router.domain.decision import Mode, Status
from router.domain.plan import Prompt, Stage
from router.domain.usage import Meter
from router.errors import BackendError, BackendUnavailable
from router.first_decision.draw import stage_seed
from router.selectors import Selection
from router.switches.backend_switch import BackendSwitch

WIDTH = 4  # questions in flight for one query
ALTERNATIVES = 20  # log-probabilities of a token, the most that servers give
FURTHER = 7919  # between the seeds of samples and of questions


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks for the allocator."""

    books: Books
    backends: Mapping[str, Backend]
    classes: AnswerClasses
    switch: BackendSwitch

    async def selected(
        self, stage: Stage, samples: Sequence[Sample], tally: Tally, progress: Progress
    ) -> Selection:
        """The stage's selection."""
        unasked = stage.select.select(samples, tally, progress.signals)
        asks = asks_of(stage.select)
        if asks is None or progress.status is not Status.ANSWERED or not self._may(asks.backend, progress):
            return unasked
        selector = cast("AskingSelector", stage.select)
        steps = selector.questions(self._asked(stage, progress), samples, tally, progress.signals)
        try:
            questions = next(steps)
            while True:
                questions = steps.send(await self._replies(asks.backend, questions, progress))
        except StopIteration as ended:
            return await self._told(ended.value, unasked, samples, tally, progress)

    async def _told(
        self,
        found: Selection,
        unasked: Selection,
        samples: Sequence[Sample],
        tally: Tally,
        progress: Progress,
    ) -> Selection:
        """A reply that became the answer is given what samples have."""
        if found.samples[0] in samples:
            return found
        kind = self.books.settings.answer_kind(progress.query)
        answer = extract(found.samples[0].text, kind)
        if answer is None:
            return unasked
        number = await self.classes.classify(tally, answer, kind)
        mine = replace(found.samples[0], answer=answer, answer_class=number)
        agrees = number == unasked.samples[0].answer_class
        return Selection((mine, *found.samples[1:]), unasked.confidence if agrees else found.confidence)

    async def hear(self, stage: Stage, sample: Sample, progress: Progress) -> None:
        """Ask what the stage's rules want to know of a finished sample, of the backend that wrote it."""
        for rule in asking_rules(stage.stop):
            if not sample.finished or not sample.text or not self._may(stage.backend, progress):
                return
            turns = (("assistant", sample.text), ("user", rule.words))
            question = Question(asking(self._asked(stage, progress), *turns), RULE_TOKENS, logprobs=True)
            (reply,) = await self._replies(stage.backend, (question,), progress)
            if reply is not None:
                progress.signals.update(rule.heard(sample.sample_id, reply))

    def _asked(self, stage: Stage, progress: Progress) -> Query:
        """The query as the stage's samples answer it."""
        return replace(progress.query, messages=with_prompt(progress.query.messages, stage.prompt))

    def _left_s(self, progress: Progress) -> float | None:
        """Until the deadline; None: there is none."""
        if progress.deadline_s is None:
            return None
        return max(0.0, progress.deadline_s - self.books.monotonic_s())

    def _may(self, backend: str, progress: Progress) -> bool:
        wants = progress.query.constraints
        denied = not set(self.switch.asked(backend)).isdisjoint(wants.denied_backends)
        allowed = not denied and (not wants.allowed_backends or backend in wants.allowed_backends)
        able = backend in self.backends and not self.switch.objection(backend)
        return allowed and able and not progress.options.advised and progress.mode is not Mode.BYPASS

    async def _replies(
        self, backend: str, questions: Sequence[Question], progress: Progress
    ) -> tuple[Sample | None, ...]:
        """In the questions' order; the first reason why one has none goes into the row."""
        room, failed = asyncio.Semaphore(WIDTH), list[str]()

        async def reply(number: int) -> Sample | None:
            async with room:
                try:
                    return await self._reply(backend, questions[number], number, progress)
                except BackendError as error:
                    failed.append(f"a question to backend {backend!r} failed: {error.wordless}")
                except TimeoutError:
                    failed.append(f"a question to backend {backend!r} had no time left")
                return None

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(reply(number)) for number in range(len(questions))]
        if failed and failed[0] not in progress.degraded:
            progress.degraded.append(failed[0])
        return tuple(task.result() for task in tasks)

    async def _reply(self, backend: str, question: Question, number: int, progress: Progress) -> Sample:
        own, left_s = Meter(), self._left_s(progress)
        ends_at = None if left_s is None else asyncio.get_running_loop().time() + left_s
        call = Call(
            query=replace(
                question.query,
                request_id=progress.query.request_id,
                tenant=progress.query.tenant,  # who shares a server's prefix cache
                priority=progress.query.priority,
                metadata={},  # nothing that was said of the caller's own query, such as its place in a recording
                extra={},
                answers=1,
                token_logprobs=question.logprobs,
            ),
            stage=progress.stage,
            sampling=Sampling(
                temperature=0.0,
                max_tokens=question.max_tokens,
                logprobs=ALTERNATIVES if question.logprobs else None,
            ),
            prompt=Prompt(),
            max_samples=1,
            width=1,
            seed=stage_seed(self.books.settings.seed, progress.query, progress.stage) + FURTHER + number,
            logprobs=question.logprobs,
            time_left_s=left_s,
            trace=progress.options.trace.of(progress.decision_id) if progress.options.trace else None,
        )
        try:
            async with (
                self.switch.flight(backend, 1, 1, ends_at) as flight,
                aclosing(self.backends[backend].sample(call, own)) as arrivals,  # type: ignore[type-var]  # all are generators
            ):
                while (arrival := await flight.next(arrivals)) is not None:
                    if isinstance(arrival, Sample) and arrival.finished:
                        self.books.watch(progress, arrival, question.max_tokens)
                        return arrival
        finally:
            for name, usage in own.by_backend.items():
                progress.meter.add(name, replace(usage, samples=0, side_calls=max(1, usage.side_calls)))
        raise BackendUnavailable(f"{backend}: it gave nothing")
