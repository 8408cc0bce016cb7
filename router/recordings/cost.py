"""What a recorded sample cost and how long it took, also where the recording does not say.

Tokens out: `tokens_out`, else `chars_out`/4, else len(text)/4, else the median of what the recording knows,
else 1. Tokens in: `tokens_in`, else len(query)/4, charged for every sample. A trace that is stopped at a
snapshot costs `prefix_tokens` output tokens. Latency: as recorded, else the first token (else .2 s) plus
`tokens_out`/50. When it fails: a quarter of the characters is a rule of thumb for English; for code, digits
or CJK it is off by a factor of up to two, for every backend alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHARS_PER_TOKEN = 4.0
FIRST_TOKEN_S = 0.2
TOKENS_PER_S = 50.0
SNAPSHOT_TOKENS = 20  # output tokens that looking at one snapshot costs; its input is on the cached prefix

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars per 1 million tokens, which is micro-dollars per token."""

    price_in: float
    price_out: float

    def cost(self, tokens_in: float, tokens_out: float) -> float:
        """Dollars for one sample."""
        return (tokens_in * self.price_in + tokens_out * self.price_out) / 1e6


def tokens_out_of(tokens_out: Floats, chars_out: Floats, text_chars: Floats, prefix_tokens: Floats) -> Floats:
    """Output tokens of every row, shape (rows,); NaN in any argument means "not recorded".

    `prefix_tokens` is NaN on finished samples. Only finished samples enter the median, and a snapshot's own
    `tokens_out` (possibly the whole trace's) is never looked at.
    """
    known = np.where(np.isnan(tokens_out), chars_out / CHARS_PER_TOKEN, tokens_out)
    known = np.where(np.isnan(known), text_chars / CHARS_PER_TOKEN, known)
    finished = known[np.isnan(prefix_tokens) & ~np.isnan(known)]
    typical = float(np.median(finished)) if len(finished) else 1.0
    filled: Floats = np.where(np.isnan(known), typical, known)
    return np.where(np.isnan(prefix_tokens), filled, prefix_tokens)


def tokens_in_of(tokens_in: Floats, query_chars: Floats) -> Floats:
    """Input tokens of every row, shape (rows,)."""
    return np.where(np.isnan(tokens_in), query_chars / CHARS_PER_TOKEN, tokens_in)


def latency_of(first_token_s: Floats, latency_s: Floats, tokens_out: Floats) -> tuple[Floats, Floats]:
    """Seconds to the first token and to the end of every row, each of shape (rows,)."""
    assumed = np.where(np.isnan(latency_s), FIRST_TOKEN_S, np.minimum(FIRST_TOKEN_S, latency_s))
    first = np.where(np.isnan(first_token_s), assumed, first_token_s)
    return first, np.where(np.isnan(latency_s), first + tokens_out / TOKENS_PER_S, latency_s)


def cost_of(
    tokens_in: Floats,
    tokens_out: Floats,
    backend: NDArray[Any],
    prices: tuple[Prices, ...],
) -> Floats:
    """Dollars of every row, shape (rows,); `backend` indexes `prices`."""
    price_in = np.array([price.price_in for price in prices])
    price_out = np.array([price.price_out for price in prices])
    cost: Floats = (tokens_in * price_in[backend] + tokens_out * price_out[backend]) / 1e6
    return cost
