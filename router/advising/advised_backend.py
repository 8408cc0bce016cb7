"""A backend whose samples the caller brings, so that the allocator decides over them in its one loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from predictors.observation import Sample
from router.advising.feed import Asked, Feed
from router.backends import Call, Capabilities
from router.costs.worst_case import Bound, prompt_tokens_bound
from router.domain.usage import Meter, Usage


class AdvisedBackend:
    """One backend of one advised query. It keeps the contract of `Backend`; what runs is freed by the caller."""

    def __init__(
        self,
        name: str,
        capabilities: Capabilities,
        feed: Feed,
        bound: Bound,
        *,
        model: str = "",
        gpu_share: float = 0.0,
    ) -> None:
        self.name, self.capabilities = name, capabilities
        self._feed, self._bound, self._model, self._gpu_share = feed, bound, model, gpu_share

    async def sample(self, call: Call, meter: Meter) -> AsyncGenerator[Sample, None]:
        """See `Backend.sample`: what the caller brings of what it is asked for."""
        if self._feed.over:
            return
        asked = Asked(self.name, self._model, call, worst_sample(call, self._bound), self._gpu_share)
        self._feed.open(asked)
        while await self._feed.ask(asked):
            sample = await self._feed.next(asked, meter)
            if sample is None:
                return
            yield sample

    async def close(self) -> None:
        """Nothing to release."""


def worst_sample(call: Call, bound: Bound) -> Usage:
    """The most that one sample can use: as it is counted into the reservation."""
    tokens_in = prompt_tokens_bound(call.query, call, bound.template_tokens)
    if bound.context_tokens is not None:
        tokens_in = min(tokens_in, bound.context_tokens)
    dear_cache = bound.price.per_token_cached > bound.price.per_token_in
    tokens_out = bound.max_tokens if call.sampling.max_tokens is None else call.sampling.max_tokens
    return Usage(
        tokens_in, tokens_in if dear_cache else 0, tokens_out, samples=1, gpu_seconds=bound.gpu_seconds
    )
