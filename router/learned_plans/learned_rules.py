"""Rules whose numbers a plan leaves open take those that a bundle learned for their stage: part of the plan's digest.

Rules within rules (`any_of`, `not_before`, …) are looked through. Where nothing was learned a rule stays as it is, and
does what it says it does without.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, Protocol, cast, runtime_checkable

from router.domain.plan import Stage
from router.stopping import StoppingRule
from router.stopping.learned_stop import FEATURES, LearnedStop
from router.stopping.self_eval import SelfEval


@runtime_checkable
class KnowsStops(Protocol):
    """Predictions that learned numbers for rules; those that did not lack the methods."""

    def learned_stop(self, backend: str, most: int) -> tuple[tuple[float, ...], float] | None:
        """Weights over votes and the least gain that pays, in stages of `most` samples."""
        ...

    def self_eval(self, backend: str, words: str) -> tuple[float, float] | None:
        """Slope and shift of the log-odds of what the backend says to this question."""
        ...


def open_rule(rule: StoppingRule) -> bool:
    """Whether a rule takes its numbers from a bundle."""
    if isinstance(rule, LearnedStop):
        return not rule.weights
    return isinstance(rule, SelfEval) and rule.slope is None and rule.shift is None


def rules_within(rule: StoppingRule) -> Iterator[StoppingRule]:
    """The rule and those that it is made of, however deep."""
    yield rule
    for _, value in _members(rule):
        for one in value if isinstance(value, tuple) else (value,):
            yield from rules_within(one)


def with_learned(rule: StoppingRule, stage: Stage, predictions: object) -> StoppingRule:
    """The rule as it runs in this stage."""
    if not isinstance(predictions, KnowsStops):
        return rule
    found = rule
    if isinstance(rule, LearnedStop) and open_rule(rule):
        votes = predictions.learned_stop(stage.backend, stage.max_samples)
        if votes is not None and len(votes[0]) == len(FEATURES):  # else of a version with other features
            found = rule.resolved(*votes)
    elif isinstance(rule, SelfEval) and open_rule(rule):
        asked = predictions.self_eval(stage.backend, rule.words)
        if asked is not None:
            found = rule.resolved(*asked)
    changed = {
        name: tuple(with_learned(one, stage, predictions) for one in value)
        if isinstance(value, tuple)
        else with_learned(value, stage, predictions)
        for name, value in _members(found)
    }
    return cast("StoppingRule", replace(cast("Any", found), **changed)) if changed else found


def _members(rule: Any) -> Iterator[tuple[str, Any]]:
    """Fields that hold a rule or several."""
    for item in fields(rule) if is_dataclass(rule) else ():
        value = getattr(rule, item.name)
        several = value if isinstance(value, tuple) else (value,)
        if several and all(isinstance(one, StoppingRule) for one in several):
            yield item.name, value
