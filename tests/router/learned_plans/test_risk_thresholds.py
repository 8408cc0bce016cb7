"""A promised risk becomes a threshold when a bundle is loaded, or an honest refusal."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from predictors.exits import EVERYWHERE, Looks
from predictors.observation import Message, Observation, Query, Sample, Tally
from router.domain.plan import Plan, Stage
from router.domain.verdict import ENOUGH, MORE
from router.errors import ConfigError
from router.learned_plans.risk_thresholds import resolve_risks
from router.selectors.first import First
from router.stopping.confident import Confident
from router.stopping.never import Never
from router.stopping.safe_exit import SafeExit


@dataclass(frozen=True, slots=True)
class Knows:
    """Predictions with one threshold for every pair, or none."""

    threshold: float | None

    def risk_threshold(self, first: str, then: str, risk: float) -> float | None:
        return self.threshold if (first, then, risk) == ("small", "large", 0.05) else None


def cascade(rule: Confident, samples: int = 1) -> dict[str, Plan]:
    stages = (Stage("small", rule, First(), max_samples=samples), Stage("large", Never(), First()))
    return {"cascade": Plan("cascade", stages)}


def rule_of(plans: dict[str, Plan], stage: int = 0) -> Confident:
    found = plans["cascade"].stages[stage].stop
    assert isinstance(found, Confident)
    return found


SEEN = Observation(Query("q", (Message("user"),)), (Sample("0.0", "small"),), tally=Tally((1,), ("a",), 1))


def test_the_risk_is_resolved_to_the_bundles_threshold_for_this_and_the_next_backend() -> None:
    plans, refused = resolve_risks(cascade(Confident(risk=0.05)), Knows(0.7))
    assert rule_of(plans).at_least == 0.7
    assert not refused
    assert rule_of(plans).verdict(SEEN, {"sample_confidence": 0.7}) is ENOUGH
    assert rule_of(plans).verdict(SEEN, {"sample_confidence": 0.69}) is MORE


def test_under_another_bundle_it_is_another_action() -> None:
    digests = {
        resolve_risks(cascade(Confident(risk=0.05)), Knows(value))[0]["cascade"].digest
        for value in (0.7, 0.8, None)
    }
    assert len(digests) == 3


@pytest.mark.parametrize("predictions", [Knows(None), object()])
def test_where_nothing_keeps_the_promise_it_never_stops_and_says_so(predictions: object) -> None:
    plans, refused = resolve_risks(cascade(Confident(risk=0.05)), predictions)
    assert rule_of(plans).verdict(SEEN, {"sample_confidence": 1.0}) is MORE
    assert len(refused) == 1 and "'cascade'" in refused[0] and "0.05" in refused[0]


def test_a_stage_of_several_samples_has_no_calibrated_threshold() -> None:
    plans, refused = resolve_risks(cascade(Confident(risk=0.05), samples=3), Knows(0.7))
    assert rule_of(plans).verdict(SEEN, {"sample_confidence": 1.0}) is MORE
    assert refused


@dataclass(frozen=True, slots=True)
class KnowsExits:
    """Predictions that know where one trace may end."""

    def exit_threshold(self, backend: str, risk: float, looks: Looks = EVERYWHERE) -> float | None:
        return 0.6


@pytest.mark.parametrize(("samples", "least"), [(1, 0.6), (3, None)])
def test_traces_end_early_only_where_there_is_one_as_when_it_was_calibrated(
    samples: int, least: float | None
) -> None:
    stages = (Stage("small", SafeExit(risk=0.05), First(), max_samples=samples),)
    plans, refused = resolve_risks({"cascade": Plan("cascade", stages)}, KnowsExits())
    rule = plans["cascade"].stages[0].stop
    assert isinstance(rule, SafeExit)
    assert rule == SafeExit(risk=0.05).resolved(least)
    assert len(refused) == (least is None)


def test_a_plain_threshold_stays_as_it_is() -> None:
    plans = cascade(Confident(0.3))
    assert resolve_risks(plans, Knows(0.7)) == (plans, ())


def test_the_last_stage_has_nothing_to_go_on_to_and_stops() -> None:
    plans = {"cascade": Plan("cascade", (Stage("small", Confident(risk=0.05), First()),))}
    found, refused = resolve_risks(plans, Knows(None))
    assert rule_of(found).at_least == 0.0
    assert not refused


def test_risk_is_about_the_confidence_that_it_was_calibrated_on() -> None:
    with pytest.raises(ConfigError, match="sample_confidence"):
        Confident(risk=0.05, signal="p_correct/small")
    with pytest.raises(ConfigError, match="between 0 and 1"):
        Confident(risk=1.5)
