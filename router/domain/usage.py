"""What was used and what it costs: tokens per backend, and prices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Price:
    """What one backend charges. $ per 1M tokens is the same number as micro-dollars per token."""

    per_token_in: float = 0.0  # micro-dollars
    per_token_cached: float = 0.0  # micro-dollars, input read from the prefix cache
    per_token_out: float = 0.0  # micro-dollars
    per_gpu_second: float = 0.0  # micro-dollars

    def micros(self, usage: Usage) -> float:
        """The cost of `usage` in micro-dollars, not rounded."""
        fresh = usage.tokens_in - usage.tokens_cached
        return (
            fresh * self.per_token_in
            + usage.tokens_cached * self.per_token_cached
            + usage.tokens_out * self.per_token_out
            + usage.gpu_seconds * self.per_gpu_second
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one backend, summed over samples and side calls."""

    tokens_in: int = 0
    tokens_cached: int = 0  # of tokens_in
    tokens_out: int = 0
    tokens_reasoning: int = 0  # of tokens_out
    side_calls: int = 0
    samples: int = 0  # started, also those that were cut
    gpu_seconds: float = 0.0  # where they are priced or budgeted

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.tokens_in + other.tokens_in,
            self.tokens_cached + other.tokens_cached,
            self.tokens_out + other.tokens_out,
            self.tokens_reasoning + other.tokens_reasoning,
            self.side_calls + other.side_calls,
            self.samples + other.samples,
            self.gpu_seconds + other.gpu_seconds,
        )

    def at_least(self, other: Usage) -> Usage:
        """The larger of both, count by count; of the input, the larger part that was not cached."""
        tokens_in = max(self.tokens_in, other.tokens_in)
        fresh = max(self.tokens_in - self.tokens_cached, other.tokens_in - other.tokens_cached)
        return Usage(
            tokens_in,
            tokens_in - fresh,
            max(self.tokens_out, other.tokens_out),
            max(self.tokens_reasoning, other.tokens_reasoning),
            max(self.side_calls, other.side_calls),
            max(self.samples, other.samples),
            max(self.gpu_seconds, other.gpu_seconds),
        )

    def since(self, other: Usage) -> Usage:
        """What was added to `other` to make this."""
        return Usage(
            self.tokens_in - other.tokens_in,
            self.tokens_cached - other.tokens_cached,
            self.tokens_out - other.tokens_out,
            self.tokens_reasoning - other.tokens_reasoning,
            self.side_calls - other.side_calls,
            self.samples - other.samples,
            self.gpu_seconds - other.gpu_seconds,
        )


def mean(used: Sequence[Usage]) -> Usage:
    """The mean of at least one, count by count; tokens are whole."""
    total, count = sum(used, Usage()), len(used)
    return Usage(
        round(total.tokens_in / count),
        round(total.tokens_cached / count),
        round(total.tokens_out / count),
        round(total.tokens_reasoning / count),
        round(total.side_calls / count),
        round(total.samples / count),
        total.gpu_seconds / count,
    )


@dataclass(slots=True)
class Meter:
    """Collects usage while samples are drawn. Backends book here what was consumed, also by samples that were cut."""

    by_backend: dict[str, Usage] = field(default_factory=dict)

    def add(self, backend: str, usage: Usage) -> None:
        """Book `usage` on `backend`."""
        self.by_backend[backend] = self.by_backend.get(backend, Usage()) + usage

    def micros(self, prices: Mapping[str, Price]) -> float:
        """The cost of everything booked, in micro-dollars, not rounded."""
        return sum(prices[name].micros(usage) for name, usage in self.by_backend.items())


def pieces_of(tokens: int) -> int:
    """The most pieces that so many tokens may come in, where a server does not count them: a token may come in two."""
    return 2 * tokens + 8


def told_micros(micros: float) -> float:
    """Micro-dollars as they are told, to a billionth: sums of floats have noise in their last digits.

    >>> told_micros(12.720000000000002)
    12.72
    """
    return round(micros, 9)


def told_dollars(micros: float) -> float:
    """Micro-dollars as dollars, as they are told.

    >>> told_dollars(120.00000000000001)
    0.00012
    """
    return round(micros / 1e6, 15)


def units(micro: int) -> str:
    """Micro-units as units.

    >>> units(1_250_000), units(42), units(-3_000_000)
    ('1.25', '0.000042', '-3')
    """
    sign, (whole, rest) = "-" if micro < 0 else "", divmod(abs(micro), 1_000_000)
    return f"{sign}{whole}.{rest:06d}".rstrip("0").rstrip(".")


def whole_micros(micros: float) -> int:
    """Round up to whole micro-dollars: the ledger and the wire never show less than was used."""
    return math.ceil(micros - 1e-9)
