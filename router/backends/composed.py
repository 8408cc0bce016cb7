"""A backend made of two others: each sample is written by several calls, every one of them booked on who answered it.

The calls of a sample are side calls of its members; the composition itself books one sample and no tokens, so that the
cost is what its members charged. Stated ignorance: who writes what; that is the composition's own file.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from predictors.observation import Query, Sample
from router.backends import Backend, Call, Capabilities
from router.backends.side_by_side import side_by_side
from router.config import BackendConfig
from router.domain.events import Delta
from router.domain.plan import Prompt
from router.domain.usage import Meter, Usage
from router.errors import BackendError, BackendUnavailable

SEEDS = 1009  # between the calls of one sample, so that no two of them draw alike


@dataclass(slots=True)
class Work:
    """One sample while it is written."""

    name: str  # of the composition
    call: Call
    index: int
    meter: Meter
    clock: Callable[[], float]
    started_at: float
    text: str = ""
    tokens: int = 0  # of the text
    tokens_in: int = 0
    tokens_cached: int = 0
    calls: int = 0
    logprob_sum: float = 0.0
    logprob_tokens: int = 0
    first_entropy: float | None = None
    first_text_s: float | None = None
    finish_reason: str = ""
    by_member: dict[str, int] = field(default_factory=dict)  # tokens of the text

    @property
    def sample_id(self) -> str:
        """As every backend names its samples."""
        return f"{self.call.stage}.{self.index}"

    @property
    def left(self) -> int:
        """Tokens that the text may still have."""
        limit = self.call.sampling.max_tokens
        return 1 << 20 if limit is None else max(0, limit - self.tokens)

    @property
    def left_s(self) -> float | None:
        """Until the caller's deadline; None: there is none."""
        left = self.call.time_left_s
        return None if left is None else max(0.0, left - (self.clock() - self.started_at))

    async def ask(
        self,
        member: Backend,
        *,
        max_tokens: int,
        until: str = "",
        said: str = "",
        query: Query | None = None,
        **more: Any,
    ) -> Sample:
        """One call: to go on from the text so far and `said`, or to answer another `query`. Raises `BackendError`."""
        found = await self.ask_several(
            member, 1, max_tokens=max_tokens, until=until, said=said, query=query, **more
        )
        return found[0]

    async def ask_several(
        self,
        member: Backend,
        count: int,
        *,
        max_tokens: int,
        until: str = "",
        said: str = "",
        query: Query | None = None,
        **more: Any,
    ) -> list[Sample]:
        """The same for so many answers: what came before something failed; raises `BackendError` where nothing did."""
        own, call = Meter(), self.call
        found: list[Sample] = []
        asked = Call(
            query=query or call.query,
            stage=call.stage,
            sampling=replace(call.sampling, max_tokens=max(1, max_tokens), **more),
            prompt=call.prompt if query is None else Prompt(),
            max_samples=count,
            width=count,
            seed=call.seed + self.index + SEEDS * self.calls,
            logprobs=True,
            time_left_s=self.left_s,
            trace=call.trace,
            begun=self.text + said if query is None else "",
            until=until,
        )
        self.calls += 1
        try:
            async with aclosing(member.sample(asked, own)) as events:  # type: ignore[type-var]  # all are generators
                async for event in events:
                    if isinstance(event, Sample) and event.finished:
                        found.append(stopped(event, asked) if until else event)
                        if len(found) == count:
                            break
        except BackendError:
            if not found:
                raise
        finally:
            for name, usage in own.by_backend.items():
                self.tokens_in += usage.tokens_in  # as booked: answers of one request share its prompt
                self.tokens_cached += usage.tokens_cached
                self.meter.add(name, replace(usage, samples=0, side_calls=max(1, usage.side_calls)))
        if not found:
            raise BackendUnavailable(f"{self.name}: {member.name} gave nothing")
        return found

    def take(self, sample: Sample, *, before: str = "") -> Delta:
        """Make what a member wrote part of the text; `before`: what it had written in an earlier call."""
        piece = before + sample.text
        if self.first_text_s is None:
            self.first_text_s = self.clock() - self.started_at
        if self.first_entropy is None:
            self.first_entropy = sample.first_entropy
        if sample.mean_logprob is not None:
            self.logprob_sum += sample.mean_logprob * sample.tokens_out
            self.logprob_tokens += sample.tokens_out
        tokens = sample.tokens_out + bool(before)
        self.text += piece
        self.tokens += tokens
        self.finish_reason = sample.finish_reason
        self.by_member[sample.backend] = self.by_member.get(sample.backend, 0) + tokens
        return Delta(self.sample_id, piece, "", tokens, self.name)

    def finished(self) -> Sample:
        """The sample."""
        return Sample(
            sample_id=self.sample_id,
            backend=self.name,
            text=self.text,
            stage=self.call.stage,
            index=self.index,
            finish_reason=self.finish_reason or "stop",
            tokens_in=self.tokens_in,
            tokens_cached=self.tokens_cached,
            tokens_out=self.tokens,
            mean_logprob=min(0.0, self.logprob_sum / self.logprob_tokens) if self.logprob_tokens else None,
            first_entropy=self.first_entropy,
            first_token_s=self.first_text_s,
            latency_s=self.clock() - self.started_at,
        )


class Composed:
    """What all compositions of a small and a large backend share. A kind says in `write` who writes what."""

    composed = True  # `assemble` hands it the other backends

    def __init__(
        self,
        name: str = "composed",
        config: BackendConfig | None = None,
        members: Mapping[str, Backend] | None = None,
    ) -> None:
        self.name = name
        self.config = config or BackendConfig()
        self.how = self.config.compose
        self._members = dict(members or {})
        both = [self._members[one] for one in (self.how.small, self.how.large) if one in self._members]
        rooms = [
            one.capabilities.context_tokens for one in both if one.capabilities.context_tokens is not None
        ]
        self.capabilities = Capabilities(
            multi_turn=all(one.capabilities.multi_turn for one in both),
            logprobs=all(one.capabilities.logprobs for one in both),
            context_tokens=min(rooms, default=self.config.context_tokens),
        )

    @property
    def small(self) -> Backend:
        """Raises `BackendUnavailable` where there is none."""
        return self._member(self.how.small)

    @property
    def large(self) -> Backend:
        """Raises `BackendUnavailable` where there is none."""
        return self._member(self.how.large)

    def needed(self) -> tuple[Backend, ...]:
        """Whom it asks. Raises `BackendUnavailable` where one of them is not there."""
        return self.small, self.large

    async def sample(self, call: Call, meter: Meter) -> AsyncGenerator[Sample | Delta, None]:
        """See `Backend.sample`."""
        self.needed()  # all must be there before anything is asked

        def streams() -> Iterator[tuple[str, AsyncGenerator[Sample | Delta, None]]]:
            for index in range(call.max_samples):
                yield f"{call.stage}.{index}", self._one(call, meter, index)

        async with aclosing(side_by_side(streams(), call.width, call.pruned)) as events:
            async for event in events:
                yield event

    async def close(self) -> None:
        """Nothing to release: the members are backends of their own."""

    def write(self, work: Work) -> AsyncGenerator[Delta, None]:
        """Write one sample by `work.ask` and `work.take`; yield what was taken."""
        raise NotImplementedError

    async def _one(self, call: Call, meter: Meter, index: int) -> AsyncGenerator[Sample | Delta, None]:
        clock = asyncio.get_running_loop().time
        work = Work(self.name, call, index, meter, clock, clock())
        meter.add(self.name, Usage(samples=1))
        async with aclosing(self.write(work)) as pieces:
            async for piece in pieces:
                if call.stream:
                    yield piece
        yield work.finished()

    def _member(self, name: str) -> Backend:
        if name not in self._members:
            has = ", ".join(self._members) or "none"
            raise BackendUnavailable(f"{self.name}: there is no backend {name!r} to compose; there is {has}")
        return self._members[name]


def stopped(sample: Sample, call: Call) -> Sample:
    """Without the text that the caller wants it to end before, which a server that keeps `call.until` keeps as well."""
    mark = next((mark for mark in call.sampling.stop if sample.text.endswith(mark)), "")
    return replace(sample, text=sample.text.removesuffix(mark)) if mark else sample


def step_ended(piece: str, until: str) -> bool:
    """Whether a piece is a step behind which another comes; one that ends otherwise is the last."""
    return bool(until) and piece.endswith(until)
