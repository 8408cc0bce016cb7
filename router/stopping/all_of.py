"""Stop when several rules agree that it is time."""

from __future__ import annotations

from dataclasses import dataclass

from predictors.observation import Observation, Signals
from router.domain.asking import AskingRule, asking_rules
from router.domain.growth import Growth, together
from router.domain.verdict import MORE, Action, Verdict
from router.stopping import StoppingRule


@dataclass(frozen=True, slots=True)
class AllOf(StoppingRule):
    """The first rule's word where every one of `rules` would end the stage; MORE without rules.

    A rule that would PRUNE does so whatever the others say: it ends nothing. Fails to stop where one member cannot
    fire, for example for lack of its signal.
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
        """The first word, if all would end it."""
        return self._word(seen, signals)[0]

    def said_by(self, seen: Observation, signals: Signals) -> tuple[StoppingRule, ...]:
        """All of them, or the one that prunes."""
        return self._word(seen, signals)[1]

    def _word(self, seen: Observation, signals: Signals) -> tuple[Verdict, tuple[StoppingRule, ...]]:
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
