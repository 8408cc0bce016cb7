"""What one request has used so far, booked as soon as it is known and never twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from router.backends.openai_chunks import WireUsage
from router.domain.usage import Meter, Usage


@dataclass(slots=True)
class Receipt:
    """Books the difference to what was booked before, so that an estimate is corrected once the server reports."""

    meter: Meter
    backend: str
    prompt_estimate: int  # tokens
    samples: int  # choices of the request
    prompt: int | None = None  # as the server says
    cached: int = 0
    total: WireUsage | None = None  # of the whole request, in its last chunk
    gpu_share: float = 0.0  # GPUs that one sample takes
    seconds: Callable[[], float] = lambda: 0.0  # since the request began
    booked: Usage = field(default_factory=Usage)

    @property
    def tokens_in(self) -> int:
        """Prompt tokens: reported, else estimated."""
        return self.prompt_estimate if self.prompt is None else self.prompt

    def read(self, usage: WireUsage, *, last: bool) -> None:
        """Take in a usage record; `last`: it is the request's, not one choice's."""
        if usage.prompt_tokens is not None:
            self.prompt = usage.prompt_tokens
        details = usage.prompt_tokens_details
        if details is not None and details.cached_tokens is not None:
            self.cached = min(details.cached_tokens, self.tokens_in)
        if last and usage.completion_tokens is not None:
            self.total = usage

    def book(self, tokens_out: int, tokens_reasoning: int) -> None:
        """Book everything up to now; the arguments are sums over the choices, used where there is no total yet."""
        if self.total is not None:
            details = self.total.completion_tokens_details
            tokens_out = self.total.completion_tokens or 0
            if details is not None and details.reasoning_tokens is not None:
                tokens_reasoning = min(tokens_out, details.reasoning_tokens)
        gpu_seconds = self.gpu_share * self.samples * self.seconds() if self.gpu_share else 0.0
        now = Usage(self.tokens_in, self.cached, tokens_out, tokens_reasoning, gpu_seconds=gpu_seconds)
        before = self.booked
        if now == before and before.samples:
            return
        self.meter.add(
            self.backend,
            Usage(
                now.tokens_in - before.tokens_in,
                now.tokens_cached - before.tokens_cached,
                now.tokens_out - before.tokens_out,
                now.tokens_reasoning - before.tokens_reasoning,
                samples=self.samples - before.samples,
                gpu_seconds=now.gpu_seconds - before.gpu_seconds,
            ),
        )
        self.booked = Usage(
            now.tokens_in,
            now.tokens_cached,
            now.tokens_out,
            now.tokens_reasoning,
            0,
            self.samples,
            gpu_seconds,
        )
