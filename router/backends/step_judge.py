"""One token of a model about the last step of a text: a digit from 0 to 9, expected over its alternatives."""

from __future__ import annotations

import math
from dataclasses import replace

from predictors.observation import Sample
from router.backends import Backend
from router.backends.composed import Work
from router.domain.asking import asking

ALTERNATIVES = 20
RATE = (
    "Is the last step of this answer so far right, and does it help? Reply with one digit only, "
    "from 0 (wrong or useless) to 9 (certainly right)."
)


async def asked_for_a_digit(work: Work, judge: Backend, text: str) -> Sample:
    """The judge's reply about the text's last step. Raises `BackendError`."""
    query = replace(asking(work.call.query, ("assistant", text), ("user", RATE)), token_logprobs=True)
    return await work.ask(judge, max_tokens=1, query=query, temperature=0.0, logprobs=ALTERNATIVES, stop=())


def expected_digit(said: Sample) -> float | None:
    """The mean digit over the first token's alternatives; None without a digit among them."""
    if not said.token_logprobs:
        return None
    first = said.token_logprobs[0]
    chances: dict[int, float] = {}
    for token in first.top or (first,):
        name = token.token.strip()
        if len(name) == 1 and name in "0123456789":
            chances[int(name)] = chances.get(int(name), 0.0) + math.exp(token.logprob)
    total = sum(chances.values())
    return sum(digit * chance for digit, chance in chances.items()) / total if total > 0 else None
