"""Stop as soon as one of several rules says so."""

from __future__ import annotations

from dataclasses import dataclass

from predictors.observation import Observation, Signals
from router.domain.verdict import MORE, Action, Verdict
from router.stopping import StoppingRule
from router.stopping.of_rules import OfRules


@dataclass(frozen=True, slots=True)
class AnyOf(OfRules):
    """The first verdict of `rules`, in order, that is not MORE; MORE without rules.

    Its promise is the weakest of its members': errors of the rules add up.
    """

    rules: tuple[StoppingRule, ...] = ()

    def word(self, seen: Observation, signals: Signals) -> tuple[Verdict, tuple[StoppingRule, ...]]:
        """The first word that is not MORE."""
        for rule in self.rules:
            verdict = rule.verdict(seen, signals)
            if verdict.action is not Action.MORE:
                return verdict, (rule,)
        return MORE, ()
