"""A recorded sample as it would have been had `max_tokens` ended it.

What is recorded of the whole is not known of a part: the answer, the mean log-probability, the stated confidence and
the hidden vector are left out, so that the answer is looked for in what there is of the text. That is the
snapshot at the limit where there is one, else a share of the text as large as that of the tokens (a recording does
not have its texts' tokens: a few characters more or less). Where only the answer was recorded, no text is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from predictors.observation import Sample


def cut_to(sample: Sample, limit: int, text: str | None, prefixes: Sequence[Sample]) -> Sample:
    """The first `limit` tokens of a finished sample that has more; `text`: as recorded; `prefixes`: its snapshots."""
    share = limit / sample.tokens_out
    first, last = sample.first_token_s or 0.0, sample.latency_s or 0.0
    kept = (text or "")[: int(len(text or "") * share)]
    exact = [prefix.text for prefix in prefixes if prefix.prefix_tokens == limit and prefix.text]
    return replace(
        sample,
        text=exact[0] if exact else kept,
        finish_reason="length",
        tokens_out=limit,
        latency_s=first + (last - first) * share,
        answer=None,
        mean_logprob=None,
        confidence=None,
        hidden=None,
    )
