"""The small model drafts every reasoning step, the large one scores it and writes it anew where it does not hold.

The score is one token of the large model, a digit from 0 to 9, expected over its alternatives; a step is kept where
that is at least `score` (SpecReason, 2025). The first `first_by_large` steps are the large model's own.

When it fails: a large model that cannot judge (its digits are noise), and prompts that are short against the steps:
then scoring costs more than writing. A digit that is not among the alternatives scores nothing, and the large model
writes the step.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from dataclasses import replace

from predictors.observation import Sample
from router.backends.composed import Composed, Work, step_ended
from router.domain.asking import asking
from router.domain.events import Delta

ALTERNATIVES = 20
RATE = (
    "Is the last step of this answer so far right, and does it help? Reply with one digit only, "
    "from 0 (wrong or useless) to 9 (certainly right)."
)


class SpeculativeSteps(Composed):
    """See the module."""

    async def write(self, work: Work) -> AsyncGenerator[Delta, None]:
        """Step by step; behind the last step that is allowed the large model writes to the end."""
        until = self.how.step_end
        for step in range(self.how.most_steps + 1):
            until = until if step < self.how.most_steps else ""
            written = None
            if until and step >= self.how.first_by_large:
                draft = await work.ask(self.small, max_tokens=work.left, until=until)
                score = await self._score(work, draft)
                written = draft if score is not None and score >= self.how.score else None
            if written is None:
                written = await work.ask(self.large, max_tokens=work.left, until=until)
            piece = work.take(written)
            yield piece
            if not step_ended(piece.text, until) or work.left <= 0:
                return
            until = until if piece.text.strip() else ""  # a step without words: the rest in one piece

    async def _score(self, work: Work, draft: Sample) -> float | None:
        """What the large model thinks of the step, 0 to 9; None where it does not say."""
        turns = (("assistant", work.text + draft.text), ("user", RATE))
        query = replace(asking(work.call.query, *turns), token_logprobs=True)
        said = await work.ask(
            self.large, max_tokens=1, query=query, temperature=0.0, logprobs=ALTERNATIVES, stop=()
        )
        return expected_digit(said)


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
