"""The small model drafts every reasoning step, the large one scores it and writes it anew where it does not hold.

The score is one token of the large model, a digit from 0 to 9, expected over its alternatives; a step is kept where
that is at least `score` (SpecReason, 2025). The first `first_by_large` steps are the large model's own.

When it fails: a large model that cannot judge (its digits are noise), and prompts that are short against the steps:
then scoring costs more than writing. A digit that is not among the alternatives scores nothing, and the large model
writes the step.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from predictors.observation import Sample
from router.backends.composed import Composed, Work, step_ended
from router.backends.step_judge import asked_for_a_digit, expected_digit
from router.domain.events import Delta


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
        return expected_digit(await asked_for_a_digit(work, self.large, work.text + draft.text))
