"""What rules that are made of several others have in common: they want to see, and ask, what their members do."""

from __future__ import annotations

from predictors.observation import Observation, Signals
from router.domain.asking import AskingRule, asking_rules
from router.domain.growth import Growth, together
from router.domain.verdict import Verdict
from router.stopping import StoppingRule


class OfRules(StoppingRule):
    """A rule over `rules`; its `word` says what they come to, and which of them said it."""

    rules: tuple[StoppingRule, ...]

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
        """Its word."""
        return self.word(seen, signals)[0]

    def said_by(self, seen: Observation, signals: Signals) -> tuple[StoppingRule, ...]:
        """The members that it has the word from."""
        return self.word(seen, signals)[1]

    def word(self, seen: Observation, signals: Signals) -> tuple[Verdict, tuple[StoppingRule, ...]]:
        """The verdict, and the members that it comes from: none where it is MORE."""
        raise NotImplementedError
