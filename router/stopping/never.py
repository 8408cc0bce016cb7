"""Draw everything the stage allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from predictors.observation import Observation, Signals
from router.domain.verdict import MORE, Verdict
from router.stopping import StoppingRule


@dataclass(frozen=True, slots=True)
class Never(StoppingRule):
    """Always MORE: `max_samples` ends the stage.

    Fails where samples are dear: it spends on easy queries as on hard ones.
    """

    reads_content: ClassVar[bool] = False

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """MORE."""
        return MORE
