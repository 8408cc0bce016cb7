"""Stop as soon as one of several rules says so."""

from __future__ import annotations

from dataclasses import dataclass

from predictors.observation import Observation, Signals
from router.domain.asking import AskingRule, asking_rules
from router.domain.growth import Growth, together
from router.domain.verdict import MORE, Action, Verdict
from router.stopping import StoppingRule


@dataclass(frozen=True, slots=True)
class AnyOf(StoppingRule):
    """The first verdict of `rules`, in order, that is not MORE; MORE without rules.

    Its promise is the weakest of its members': errors of the rules add up.
    """

    rules: tuple[StoppingRule, ...] = ()

    @property
    def reads_content(self) -> bool:
        """Whether any member does."""
        return any(rule.reads_content for rule in self.rules)

    @property
    def growth(self) -> Growth | None:
        """What its members want to see of growing samples."""
        return together(self.rules)

    @property
    def asking(self) -> tuple[AskingRule, ...]:
        """Those of its members that ask."""
        return tuple(one for rule in self.rules for one in asking_rules(rule))

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """The first word that is not MORE."""
        return self._first(seen, signals)[0]

    def said_by(self, seen: Observation, signals: Signals) -> tuple[StoppingRule, ...]:
        """The first that says anything but MORE."""
        return self._first(seen, signals)[1]

    def _first(self, seen: Observation, signals: Signals) -> tuple[Verdict, tuple[StoppingRule, ...]]:
        for rule in self.rules:
            verdict = rule.verdict(seen, signals)
            if verdict.action is not Action.MORE:
                return verdict, (rule,)
        return MORE, ()
