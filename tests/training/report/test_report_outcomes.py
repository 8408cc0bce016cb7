"""What `apportion report` makes of outcomes: rewards, their joins, and calibration."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training.errors import TrainingError
from training.report.command import labels_of
from training.report.rewards import OTHERS


def test_applied_rows_have_their_mean_reward_with_wilsons_interval(log, store):
    rows = [log.applied(number, "small" if number < 60 else "large") for number in range(100)]
    log.write(store, rows, [log.outcome(number, number % 4 != 0) for number in range(60)])
    plans = log.facts("--store", store)["apply"]["plans"]
    assert plans["small"]["rewarded"] == 60
    assert plans["small"]["reward"]["mean"] == pytest.approx(0.75)
    assert plans["small"]["reward"]["lo"] == pytest.approx(0.6277, abs=1e-3)
    assert plans["small"]["reward"]["hi"] == pytest.approx(0.8422, abs=1e-3)
    assert plans["large"]["reward"] == {"skipped": "no outcome"}


@pytest.mark.parametrize(
    ("value", "kind", "reward"),
    [
        (True, "bool", 1.0),
        (False, "bool", 0.0),
        (0.25, "number", 0.25),
        (7.0, "number", 1.0),
        (-3.0, "number", 0.0),
        ("good", "label", 1.0),
        ("so so", "label", 0.5),
    ],
)
def test_outcomes_become_rewards(log, store, value, kind, reward):
    log.write(store, [log.applied(0)], [log.outcome(0, value, kind)])
    found = log.facts("--store", store, "--label", "good=1", "--label", "so so=0.5")
    assert found["apply"]["all"]["reward"]["mean"] == reward


@pytest.mark.parametrize(
    ("number", "value", "kind", "more", "reason"),
    [
        (0, "what", "label", {}, "label 'what' has no reward (--label NAME=REWARD)"),
        (0, "nice!", "comment", {}, "a comment has no reward"),
        (0, "42", "demonstration", {}, "a demonstration has no reward"),
        (0, math.nan, "number", {}, "not a finite number"),
        (0, True, "bool", {"weight": 0.0}, "weight is not above 0"),
        (0, True, "bool", {"weight": math.inf}, "weight is not above 0"),
        (0, True, "bool", {"sample_id": "0.1"}, "about a sample, not about the answer"),
        (9, True, "bool", {}, "about no answered decision of the period"),
        (0, True, "bool", {"tenant": "another"}, OTHERS),
        (9, True, "bool", {"tenant": "another"}, "about no answered decision of the period"),
    ],
)
def test_an_outcome_that_is_no_reward_is_left_out_with_its_reason(
    log, store, number, value, kind, more, reason
):
    log.write(store, [log.applied(0)], [log.outcome(number, value, kind, **more)])
    found = log.facts("--store", store)
    assert found["outcomes"]["left_out"] == {reason: 1}
    assert found["apply"]["all"]["rewarded"] == 0


def test_several_outcomes_of_one_decision_are_averaged_by_weight(log, store):
    told = [log.outcome(0, 1.0, "number", weight=3.0), log.outcome(0, 0.0, "number", weight=1.0)]
    log.write(store, [log.applied(0)], told)
    assert log.facts("--store", store)["apply"]["all"]["reward"]["mean"] == 0.75


def test_a_superseded_outcome_counts_no_more(log, store):
    first, second = log.outcome(0, False, key="a"), log.outcome(0, True, key="b", supersedes="a")
    log.write(store, [log.applied(0)], [first, second])
    found = log.facts("--store", store)
    assert found["apply"]["all"]["reward"]["mean"] == 1.0
    assert found["outcomes"]["left_out"] == {"superseded by a later report": 1}


def test_outcomes_are_joined_by_request_and_session_too(log, store):
    rows = [log.applied(0), log.applied(1, session_id="s"), log.applied(2, session_id="s")]
    by_request = log.outcome(0, True, decision_id="", request_id="r0")
    by_session = log.outcome(1, False, decision_id="", session_id="s")
    log.write(store, rows, [by_request, by_session])
    found = log.facts("--store", store)
    assert (found["outcomes"]["used"], found["outcomes"]["decisions"]) == (2, 3)
    assert found["apply"]["all"]["reward"]["mean"] == pytest.approx(1 / 3)


def test_the_most_frequent_metric_is_the_reward_unless_another_is_named(log, store):
    told = [log.outcome(0, True), log.outcome(1, True), log.outcome(0, False, metric="liked")]
    log.write(store, [log.applied(0), log.applied(1)], told)
    assert log.facts("--store", store)["outcomes"]["metric"] == "right"
    liked = log.facts("--store", store, "--metric", "liked")
    assert liked["apply"]["all"]["reward"]["mean"] == 0.0
    assert liked["outcomes"]["left_out"] == {"metric 'right'": 2}


def test_calibration_compares_promises_with_outcomes(log, store):
    rng = np.random.default_rng(0)
    promised = rng.random(2000)
    came = rng.random(2000) < promised**2
    rows = [log.applied(number, confidence=float(promised[number])) for number in range(2000)]
    log.write(store, rows, [log.outcome(number, bool(came[number])) for number in range(2000)])
    found = log.facts("--store", store)["calibration"]["confidence"]
    assert found["rows"] == 2000
    assert found["ece"] == pytest.approx(np.mean(promised - promised**2), abs=0.04)
    assert found["brier_skill"] < 1


def test_calibration_wants_enough_outcomes(log, store):
    log.write(
        store, [log.applied(number) for number in range(49)], [log.outcome(number) for number in range(49)]
    )
    found = log.facts("--store", store)["calibration"]
    assert found["confidence"] == {"skipped": "49 rows have both; 50 are needed"}


def test_the_references_forecast_is_checked_where_outcomes_are_known(log, store):
    log.write(
        store,
        [log.row(number) for number in range(40)],
        [log.outcome(number, number < 20) for number in range(30)],
    )
    seen = log.facts("--store", store)["observe"]
    assert seen["reference_reward"]["mean"] == pytest.approx(2 / 3)
    assert seen["reference_expected_there"] == pytest.approx(0.8)
    assert "was expected to get 0.800 and got 0.667" in log.run("--store", store)


@pytest.mark.parametrize("text", ["good", "good=2", "=1", "good=nan", "good=x", "good=-1"])
def test_a_label_without_a_reward_in_range_is_refused(text):
    with pytest.raises(TrainingError, match=r"--label: .* is not NAME=REWARD"):
        labels_of([text])
