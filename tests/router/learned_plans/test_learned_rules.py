"""Rules that leave their numbers open take the bundle's, and are another action then."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from predictors import Look
from predictors.exits import EVERYWHERE, Looks
from predictors.observation import Observation, Query, Sample, Signals, Tally
from predictors.untrained import Untrained
from router.allocation.growing_signals import growing_signals
from router.domain.growth import Growth
from router.domain.plan import Plan, Stage
from router.learned_plans.known_plans import WithoutPlans
from router.learned_plans.learned_rules import open_rule, rules_within
from router.learned_plans.risk_thresholds import resolve_risks
from router.selectors.first import First
from router.stopping import StoppingRule
from router.stopping.any_of import AnyOf
from router.stopping.learned_stop import FEATURES, USUAL, LearnedStop
from router.stopping.never import Never
from router.stopping.not_before import NotBefore
from router.stopping.safe_exit import SafeExit
from router.stopping.self_eval import WORDS, SelfEval

WEIGHTS = tuple(0.1 * number for number in range(len(FEATURES)))


@dataclass(frozen=True, slots=True)
class Knows:
    """Predictions that learned both for `small`, in stages of 16 samples."""

    version: str = "1"
    weights: tuple[float, ...] = WEIGHTS

    def look(self, query: Query) -> Look:
        return Look()

    def confidence(self, seen: Observation, look: Look) -> Signals:
        return {}

    def learned_stop(self, backend: str, most: int) -> tuple[tuple[float, ...], float] | None:
        return (self.weights, 0.02) if (backend, most) == ("small", 16) else None

    def self_eval(self, backend: str, words: str) -> tuple[float, float] | None:
        return (0.6, -0.8) if (backend, words) == ("small", WORDS) else None

    def growing(self, seen: Observation) -> Signals:
        return {"safe_to_stop/1": 0.9}

    def exit_threshold(self, backend: str, risk: float, looks: Looks = EVERYWHERE) -> float | None:
        return 0.7


def plan_of(rule: StoppingRule, backend: str = "small", samples: int = 16) -> dict[str, Plan]:
    return {"vote": Plan("vote", (Stage(backend, rule, First(), max_samples=samples),))}


def resolved(rule: StoppingRule, predictions: object, **stage: object) -> StoppingRule:
    found, refused = resolve_risks(plan_of(rule, **stage), predictions)  # type: ignore[arg-type]
    assert not refused
    return found["vote"].stages[0].stop


def test_weights_and_least_gain_come_with_the_bundle() -> None:
    assert resolved(LearnedStop(), Knows()) == LearnedStop(WEIGHTS, 0.02)


def test_the_calibration_comes_with_the_bundle() -> None:
    rule = resolved(SelfEval(0.7), Knows())
    assert rule == SelfEval(0.7, 0.6, -0.8)
    assert isinstance(rule, SelfEval)
    assert rule.calibrated(0.5) == pytest.approx(0.31, abs=0.001)  # 1 / (1 + exp(.8))


@pytest.mark.parametrize(
    "rule",
    [
        LearnedStop(WEIGHTS[::-1], 0.3),
        SelfEval(0.7, slope=2.0),
        SelfEval(0.7, shift=0.1),
        SelfEval(words="Are you sure?"),
    ],
)
def test_what_the_plan_says_itself_stays(rule: StoppingRule) -> None:
    assert resolved(rule, Knows()) == rule


def test_a_least_gain_of_the_plan_stays_with_the_bundles_weights() -> None:
    assert resolved(LearnedStop(least=0.3), Knows()) == LearnedStop(WEIGHTS, 0.3)


@pytest.mark.parametrize("where", [{"backend": "large"}, {"samples": 8}])
def test_of_another_backend_or_number_of_samples_nothing_is_taken(where: dict[str, object]) -> None:
    assert resolved(LearnedStop(), Knows(), **where) == LearnedStop()


def test_without_a_bundle_they_are_what_they_are_without_one() -> None:
    assert resolved(LearnedStop(), object()) == LearnedStop()
    assert LearnedStop().pays == USUAL
    assert SelfEval().calibrated(0.8) == pytest.approx(0.8)


def test_weights_of_other_features_are_not_taken() -> None:
    assert resolved(LearnedStop(), Knows(weights=(1.0, 2.0))) == LearnedStop()


def test_rules_within_rules_are_found() -> None:
    rule = AnyOf((Never(), NotBefore(LearnedStop(otherwise=SelfEval()), 3)))
    filled = AnyOf((Never(), NotBefore(LearnedStop(WEIGHTS, 0.02, SelfEval(slope=0.6, shift=-0.8)), 3)))
    assert resolved(rule, Knows()) == filled
    assert [open_rule(one) for one in rules_within(rule)] == [False, False, False, True, True]
    assert not any(open_rule(one) for one in rules_within(filled))


def test_under_another_bundle_it_is_another_action() -> None:
    knowing = (Knows(), Knows(weights=WEIGHTS[::-1]), object())
    digests = {resolve_risks(plan_of(LearnedStop()), one)[0]["vote"].digest for one in knowing}
    assert len(digests) == 3


def test_a_bundle_that_knows_not_all_plans_still_gives_what_it_learned_for_rules() -> None:
    predictions = WithoutPlans(Knows(), frozenset({"other"}))
    assert resolved(LearnedStop(), predictions) == LearnedStop(WEIGHTS, 0.02)
    assert resolved(SelfEval(), predictions) == SelfEval(slope=0.6, shift=-0.8)
    trace = resolved(SafeExit(risk=0.05), predictions, samples=1)
    assert trace == replace(SafeExit(risk=0.05), threshold=0.7)


def test_traces_are_known_also_where_some_plan_is_not() -> None:
    growing, look = Sample("1", "small", "", finished=False), Growth(0, 64)
    seen = Observation(Query("", ()), (growing,), 0, Tally())
    known = growing_signals(Knows(), seen, growing, look)
    assert known["safe_to_stop/1"] == 0.9
    assert growing_signals(WithoutPlans(Knows(), frozenset({"vote"})), seen, growing, look) == known
    assert growing_signals(WithoutPlans(Untrained(), frozenset({"vote"})), seen, growing, look) == {
        name: value for name, value in known.items() if not name.startswith("safe_to_stop")
    }
