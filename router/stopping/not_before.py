"""Let a rule speak only after so many samples."""

from __future__ import annotations

from dataclasses import dataclass, field

from predictors.observation import Observation, Signals
from router.domain.asking import AskingRule, asking_rules
from router.domain.growth import Growth, growth_of
from router.domain.verdict import MORE, Verdict
from router.errors import ConfigError
from router.stopping import StoppingRule
from router.stopping.never import Never


@dataclass(frozen=True, slots=True)
class NotBefore(StoppingRule):
    """MORE until the stage has `samples` finished samples, then what `rule` says.

    Fails as a guard on quality: more samples make a rule's mistakes rarer, not impossible.
    """

    rule: StoppingRule = field(default_factory=Never, metadata={"required": True})
    samples: int = 3  # finished samples of the stage, also those without an answer, >= 1

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ConfigError(f"not_before: samples must be at least 1, got {self.samples}")

    @property
    def reads_content(self) -> bool:
        """As the rule."""
        return self.rule.reads_content

    @property
    def growth(self) -> Growth | None:
        """As the rule."""
        return growth_of(self.rule)

    @property
    def asking(self) -> tuple[AskingRule, ...]:
        """As the rule."""
        return asking_rules(self.rule)

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """The rule's word, in its time."""
        return self.rule.verdict(seen, signals) if seen.tally.drawn >= self.samples else MORE

    def said_by(self, seen: Observation, signals: Signals) -> tuple[StoppingRule, ...]:
        """Its rule."""
        return (self.rule,)
