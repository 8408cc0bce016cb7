"""Small and large share one sample by reasoning step: the small one's first token says who writes the step.

Per step the small model writes one token; where the entropy of its alternatives is above `entropy` (nats) the large
model writes the step, else the small one goes on from its token (GlimpRouter, 2026: steps that begin unsurely are the
ones that matter). Text is what both see, so that their tokenizers may differ.

When it fails: a small model that is sure of what is wrong; texts without steps (`step_end` never comes), which one of
the two then writes whole; servers that cannot go on from a text (see `Call.begun`). Without log-probabilities the
large model writes everything.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from router.backends.composed import Composed, Work, step_ended
from router.domain.events import Delta


class Glimpse(Composed):
    """See the module."""

    async def write(self, work: Work) -> AsyncGenerator[Delta, None]:
        """Step by step; behind the last step that is allowed one of the two writes to the end."""
        until = self.how.step_end
        for step in range(self.how.most_steps + 1):
            until = until if step < self.how.most_steps else ""
            seen = await work.ask(self.small, max_tokens=1)
            if seen.first_entropy is None or seen.first_entropy > self.how.entropy:
                written, before = await work.ask(self.large, max_tokens=work.left, until=until), ""
            elif seen.finish_reason == "stop" or work.left <= 1:  # it ends here
                written, before = seen, ""
            else:
                before = seen.text
                written = await work.ask(self.small, max_tokens=work.left - 1, until=until, said=before)
            piece = work.take(written, before=before)
            yield piece
            if not step_ended(piece.text, until) or work.left <= 0:
                return
            until = until if piece.text.strip() else ""  # a step without words: the rest in one piece
