"""Which rule it was that ended a stage, by the name that configurations give it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from predictors.observation import Observation, Signals
from router.plugin_words import plugin_name
from router.stopping import STOPPING_RULES, StoppingRule


@runtime_checkable
class SpeaksForOthers(Protocol):
    """A rule whose word is that of other rules."""

    def said_by(self, seen: Observation, signals: Signals) -> tuple[StoppingRule, ...]:
        """Those of its rules whose word it says of this; never none where it is not MORE."""
        ...


def said_by(rule: StoppingRule, seen: Observation, signals: Signals) -> str:
    """`agreement`; `agreement and token_cap` where several had to agree."""
    if isinstance(rule, SpeaksForOthers):
        return " and ".join(said_by(one, seen, signals) for one in rule.said_by(seen, signals))
    return plugin_name(rule, STOPPING_RULES)
