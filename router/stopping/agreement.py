"""Stop when `needed` samples agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from router.errors import ConfigError
from router.stopping.by_votes import ByVotes


@dataclass(frozen=True, slots=True)
class Agreement(ByVotes):
    """ENOUGH as soon as one answer has `needed` votes.

    The simplest early stop of self-consistency (Wang et al. 2022). Fails where the model is confidently wrong:
    a popular wrong answer gathers votes just as fast; and with free text, where no two answers are equal, it
    never fires.
    """

    needed: int = 3  # votes, >= 1

    def __post_init__(self) -> None:
        if self.needed < 1:
            raise ConfigError(f"agreement: needed must be at least 1, got {self.needed}")

    def settled(self, counts: Sequence[int], left: int) -> bool:
        """`needed` equal answers."""
        return max(counts) >= self.needed
