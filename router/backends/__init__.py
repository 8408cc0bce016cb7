"""Where samples come from. To add a backend, write a module here and give it a line in `BACKENDS`.

A backend is built by `assemble` from its section of `router.toml` (see `router.config.BackendConfig`): its class
takes `(name: str, config: BackendConfig)` and connects lazily, on the first call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from predictors.observation import Query, Sample, Sampling
from router.domain.events import Delta
from router.domain.growth import Growth
from router.domain.plan import Prompt
from router.domain.query_trace import Trace
from router.domain.usage import Meter


@dataclass(frozen=True, slots=True)
class Call:
    """One stage's request to a backend, everything resolved."""

    query: Query
    stage: int  # copied into the samples; `sample_id` is f"{stage}.{n}", n counting in order of starting
    sampling: Sampling  # the query's over the stage's; `max_tokens` is always set
    prompt: Prompt
    max_samples: int
    width: int  # samples in flight at once, 1..max_samples
    seed: int  # of this query and stage; equal seeds draw equal samples where the backend can
    stream: bool = False  # yield a `Delta` for every piece of text as it comes
    growing: bool = False  # yield unfinished samples at check-points
    logprobs: bool = False  # fill `mean_logprob` and `first_entropy`
    time_left_s: float | None = None  # until the caller's deadline
    pruned: set[str] = field(default_factory=set)  # filled by the consumer: ids to cut, where it can
    closing: set[str] = field(default_factory=set)  # the same: growing ids to end now, with an answer
    # which check-points; None: as the backend has them, without tentative answers
    growth: Growth | None = None
    begun: str = ""  # the assistant's turn so far, which the sample goes on from; its text is what comes then
    until: str = ""  # the sample ends behind this text, which is kept; "": at its own end
    trace: Trace | None = None  # requests tell their server which span they belong to


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can pass on. A query that needs more makes the plans on it infeasible."""

    tools: bool = False
    images: bool = False
    response_format: bool = False
    multi_turn: bool = True
    logprobs: bool = False
    context_tokens: int | None = None  # prompt and output together
    extra: frozenset[str] = frozenset()  # keys of a query's `extra` that it passes on
    token_logprobs: bool = False  # samples can keep those of their tokens


@runtime_checkable
class Backend(Protocol):
    """A stream of samples for a query."""

    name: str
    capabilities: Capabilities

    def sample(self, call: Call, meter: Meter) -> AsyncIterator[Sample | Delta]:
        """Yield finished samples as they finish (growing ones and deltas where asked for), at most `max_samples`.

        Ends early where no more can be had (a recording that is exhausted). Between two yields at most `width` samples
        are in flight, and none is started before the consumer asks for the next. A growing sample in `call.closing` has
        its thought closed and its answer asked for, and is yielded finished (a backend that cannot lets it end as it
        would). Closing the iterator (`aclose`) frees
        everything in flight within 1 s. Whatever was consumed, also by samples that were cut, is booked on `meter`
        before the sample is yielded, or while closing. Raises only `BackendError`.
        """
        ...

    async def close(self) -> None:
        """Release connections; no call is in flight."""
        ...


@runtime_checkable
class Breakers(Protocol):
    """A backend with several servers."""

    hedges: int  # requests sent because another server had not begun to answer

    def urls(self) -> tuple[int, int]:
        """How many are asked, and how many rest after a failure. Call it in the event loop."""
        ...


BACKENDS = {
    "vllm": "router.backends.vllm:VLLM",
    "recorded": "router.backends.recorded:Recorded",
    "scripted": "router.backends.scripted:Scripted",
    "glimpse": "router.backends.glimpse:Glimpse",
    "speculative_steps": "router.backends.speculative_steps:SpeculativeSteps",
    "draft_then_refine": "router.backends.draft_then_refine:DraftThenRefine",
    "search": "router.backends.search:Search",
}
