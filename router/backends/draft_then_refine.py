"""The small model answers first; the large one sees the draft and gives the answer.

One round of refinement (Self-Refine, 2023, with two models): a draft is mostly cheaper to check than to write. It is
the large model's answer that counts, as many tokens as it takes.

When it fails: a large model that trusts a wrong draft is worse with it than alone; where drafts are mostly wrong they
are paid for in vain.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

from predictors.observation import Query
from router.backends.composed import Composed, Work
from router.backends.prompting import with_prompt
from router.domain.asking import asking
from router.domain.events import Delta

REFINE = (
    "Check the answer above step by step. Where something is wrong, correct it. Then write the whole final answer, "
    "in the form that was asked for."
)


class DraftThenRefine(Composed):
    """See the module."""

    async def write(self, work: Work) -> AsyncGenerator[Delta, None]:
        """A draft, which is not shown, and the answer."""
        draft = await work.ask(self.small, max_tokens=work.left)
        yield work.take(
            await work.ask(self.large, max_tokens=work.left, query=self._refining(work, draft.text))
        )

    def _refining(self, work: Work, draft: str) -> Query:
        call = work.call
        query = asking(call.query, ("assistant", draft), ("user", self.how.refine or REFINE))
        first = with_prompt(call.query.messages, call.prompt)
        return replace(query, messages=(*first, *query.messages[len(call.query.messages) :]))
