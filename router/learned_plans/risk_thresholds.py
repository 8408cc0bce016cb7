"""Plans with what a bundle learned for their rules, and the thresholds for promised risks: part of their digests.

A threshold is calibrated for two backends: the one whose answer may be kept, and that of the next stage. A stage that
is the last has nothing to go on to, so that its risk is 0 whatever it keeps: it stops at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol, runtime_checkable

from predictors.exits import EVERYWHERE, Looks
from router.domain.plan import Plan, Stage
from router.learned_plans.learned_rules import open_rule, rules_within, with_learned
from router.stopping.confident import Confident
from router.stopping.safe_exit import SafeExit


@runtime_checkable
class Calibrated(Protocol):
    """Predictions that know thresholds; those that do not lack the method."""

    def risk_threshold(self, first: str, then: str, risk: float) -> float | None:
        """The lowest confidence at which `first`'s answer may be kept instead of asking `then`; None: there is none."""
        ...


@runtime_checkable
class KnowsExits(Protocol):
    """The same for traces that end before their end."""

    def exit_threshold(self, backend: str, risk: float, looks: Looks = EVERYWHERE) -> float | None:
        """The least `safe_to_stop` at which traces of the backend may end; None: none keeps the risk.

        `looks`: where the rule looks at them.
        """
        ...


def resolve_risks(plans: Mapping[str, Plan], predictions: object) -> tuple[dict[str, Plan], tuple[str, ...]]:
    """The plans with their thresholds, and in words which promises nothing keeps: those stages never stop early."""
    found: dict[str, Plan] = {}
    refused: list[str] = []
    for name, plan in plans.items():
        stages = [replace(stage, stop=with_learned(stage.stop, stage, predictions)) for stage in plan.stages]
        for at, stage in enumerate(tuple(stages)):
            rule = stage.stop
            if isinstance(rule, SafeExit) and rule.risk is not None and rule.threshold is None:
                least = _exit_threshold(predictions, rule, rule.risk, stage)
                stages[at] = replace(stage, stop=rule.resolved(least))
                if least is None:
                    where = f" at the cues {', '.join(map(repr, rule.cues))}" if rule.cues else ""
                    refused.append(
                        f"plan {name!r}: no traces of {stage.backend!r} say where they may end{where} at a risk of "
                        f"{rule.risk:g}: they never end early there"
                    )
                continue
            if not isinstance(rule, Confident) or rule.risk is None or rule.threshold is not None:
                continue
            threshold = _threshold(predictions, rule.risk, plan.stages[at : at + 2])
            stages[at] = replace(stage, stop=rule.resolved(threshold))
            if threshold is None:
                refused.append(
                    f"plan {name!r}: no confidence of {stage.backend!r} keeps the risk at {rule.risk:g}: "
                    "it never stops there"
                )
        found[name] = Plan(name, tuple(stages)) if stages != list(plan.stages) else plan
    return found, tuple(refused)


def takes_numbers(plan: Plan) -> bool:
    """Whether a bundle's numbers become part of what the plan does: its digest is then another under every bundle."""
    rules = [rule for stage in plan.stages for rule in rules_within(stage.stop)]
    return any(
        open_rule(rule)
        or (isinstance(rule, Confident | SafeExit) and rule.risk is not None and rule.threshold is None)
        for rule in rules
    )


def _exit_threshold(predictions: object, rule: SafeExit, risk: float, stage: Stage) -> float | None:
    if not isinstance(predictions, KnowsExits) or stage.max_samples > 1:
        return None  # calibrated for one trace
    return predictions.exit_threshold(stage.backend, risk, Looks(rule.first, rule.every, rule.cues))


def _threshold(predictions: object, risk: float, stages: tuple[Stage, ...]) -> float | None:
    if len(stages) < 2:
        return 0.0
    if not isinstance(predictions, Calibrated) or stages[0].max_samples > 1:
        return None  # calibrated for the first sample of a stage alone
    return predictions.risk_threshold(stages[0].backend, stages[1].backend, risk)
