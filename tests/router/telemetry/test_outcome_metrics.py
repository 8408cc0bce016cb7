"""What was predicted is held against what was reported; risk comes from shadow runs alone."""

from __future__ import annotations

import random

import pytest

from router.domain.decision import Outcome, Status
from router.shadow import AGREES, SHADOW_RUN
from router.telemetry.outcome_metrics import OutcomeMetrics


def outcome(value=1.0, decision_id: str = "d1", **fields) -> Outcome:
    return Outcome(
        "o",
        fields.pop("metric", "correct"),
        value,
        "number",
        decision_id=decision_id,
        tenant="default",
        **fields,
    )


@pytest.fixture
def outcomes() -> OutcomeMetrics:
    return OutcomeMetrics()


def test_an_outcome_is_held_against_what_its_decision_expected(outcomes, row):
    outcomes.decided(row(forecasts={"one": (0.75, 1.0)}))
    outcomes.reported(outcome(1.0))
    outcomes.reported(outcome(0.0))
    realised = outcomes.realised.values["one", "correct"]
    predicted = outcomes.predicted.values["one", "correct"]
    assert (realised.count, realised.total, predicted.total) == (2, 1.0, 1.5)


def test_an_outcome_by_request_id_finds_its_decision(outcomes, row):
    outcomes.decided(row())
    outcomes.reported(outcome(decision_id="", request_id="r1"))
    assert outcomes.realised.values["one", "correct"].count == 1


def test_outcomes_about_what_is_not_remembered_are_counted_as_such(row):
    outcomes = OutcomeMetrics(remembered=1)
    outcomes.decided(row(decision_id="old", request_id="old"))
    outcomes.decided(row(decision_id="new", request_id="new"))
    for name in ("old", "never"):
        outcomes.reported(outcome(decision_id=name))
    assert outcomes.unmatched.values == {(): 2.0}
    assert outcomes.realised.values == {}


def test_another_tenants_outcome_is_not_about_this_decision(outcomes, row):
    outcomes.decided(row(tenant="other"))
    outcomes.reported(outcome())
    assert outcomes.realised.values == {}


@pytest.mark.parametrize("value", [2.0, -0.1, "fine"])
def test_what_is_no_reward_is_counted_and_not_averaged(outcomes, row, value):
    outcomes.decided(row())
    outcomes.reported(outcome(value))
    assert outcomes.outcomes.values == {("correct",): 1.0}
    assert outcomes.realised.values == {}


def test_a_bool_is_a_reward(outcomes, row):
    outcomes.decided(row())
    outcomes.reported(outcome(True))
    assert outcomes.realised.values["one", "correct"].total == 1.0


def test_the_calibration_error_of_honest_confidences_is_small_and_of_boasting_ones_is_their_excess(row):
    chance, honest, boasting = random.Random(3), OutcomeMetrics(), OutcomeMetrics()
    for number in range(4000):
        p = chance.random()
        right = float(chance.random() < p)
        for who, said in ((honest, p), (boasting, min(1.0, p + 0.2))):
            who.decided(row(decision_id=str(number), confidence=said))
            who.reported(outcome(right, str(number)))
    assert honest.calibration_error()["correct",] < 0.03
    assert boasting.calibration_error()["correct",] == pytest.approx(0.18, abs=0.03)


def test_without_outcomes_there_is_no_calibration_and_without_shadow_runs_no_risk(outcomes, row):
    outcomes.decided(row(confidence=0.9))
    assert outcomes.readings() == {"apportion_calibration_error": {}, "apportion_realised_risk": {}}


def test_realised_risk_weights_shadow_runs_by_their_chance(row):
    """Half of the queries differ, and those were run ten times more often: the plain share would be .91."""
    chance, outcomes = random.Random(5), OutcomeMetrics()
    for _ in range(20_000):
        differs = chance.random() < 0.5
        share = 0.5 if differs else 0.05
        if chance.random() < share:
            metadata = {AGREES: "no" if differs else "yes"}
            outcomes.decided(row(unusable_reason=SHADOW_RUN, propensity=share, metadata=metadata))
    assert outcomes.readings()["apportion_realised_risk"]["one",] == pytest.approx(0.5, abs=0.03)


def test_shadow_runs_that_say_nothing_are_counted_and_no_risk(outcomes, row):
    outcomes.decided(row(unusable_reason=SHADOW_RUN))
    outcomes.decided(row(unusable_reason=SHADOW_RUN, status=Status.FAILED))
    assert outcomes.shadow_runs.values == {("no_answer",): 1.0, ("failed",): 1.0}
    assert outcomes.readings()["apportion_realised_risk"] == {}
