"""Stop when several rules agree that it is time."""

from __future__ import annotations

from dataclasses import dataclass

from predictors.observation import Observation, Signals
from router.domain.verdict import MORE, Action, Verdict
from router.stopping import StoppingRule
from router.stopping.of_rules import OfRules


@dataclass(frozen=True, slots=True)
class AllOf(OfRules):
    """The first rule's word where every one of `rules` would end the stage; MORE without rules.

    A rule that would PRUNE does so whatever the others say: it ends nothing. Fails to stop where one member cannot
    fire, for example for lack of its signal.
    """

    rules: tuple[StoppingRule, ...] = ()

    def word(self, seen: Observation, signals: Signals) -> tuple[Verdict, tuple[StoppingRule, ...]]:
        """The first word of all, if all would end the stage, or that of the one that prunes."""
        first, pruning, all_end = MORE, MORE, True
        pruned_by: tuple[StoppingRule, ...] = ()
        for rule in self.rules:
            verdict = rule.verdict(seen, signals)
            if verdict.action in (Action.ENOUGH, Action.ESCALATE):
                first = verdict if first is MORE else first
                continue
            all_end = False
            if verdict.action is Action.PRUNE and pruning is MORE:
                pruning, pruned_by = verdict, (rule,)
        return (first, self.rules) if all_end else (pruning, pruned_by)
