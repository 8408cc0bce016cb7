"""Stop when the query has used its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from predictors.observation import Observation, Signals
from router.domain.growth import Growth
from router.domain.verdict import ENOUGH, MORE, Verdict
from router.errors import ConfigError
from router.stopping import StoppingRule


@dataclass(frozen=True, slots=True)
class TokenCap(StoppingRule):
    """ENOUGH where the output tokens of all samples of the query reach `tokens`.

    A soft cap: it looks every 64 tokens; the sample that reaches it is closed and answers, others in flight are cut, so
    that up to `width` samples may overshoot it. Fails to save anything on a single sample from a backend that does not
    yield growing ones; `max_tokens` bounds those.
    """

    tokens: int = 4096  # summed over the query's samples, >= 1

    reads_content: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise ConfigError(f"token_cap: tokens must be at least 1, got {self.tokens}")

    @property
    def growth(self) -> Growth:
        """The tokens alone: no answers."""
        return Growth(0, min(64, self.tokens), answers=False)

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """ENOUGH at the cap."""
        used = sum(
            sample.tokens_out if sample.finished else sample.prefix_tokens or 0 for sample in seen.samples
        )
        return ENOUGH if used >= self.tokens else MORE
