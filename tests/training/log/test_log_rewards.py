"""One reward per decision out of everything that was said about it."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest

from router.config import RewardsConfig
from router.domain.decision import Outcome
from training.log.read import read_log
from training.log.rewards import Label, Rewards, reward_decisions

LATER = 1_800_000_000.0


@pytest.fixture
def rewarded(traffic, export):
    """Rewards of five decisions about which `outcomes` were reported, by a [rewards] table."""

    def make(outcomes: list[Outcome], now_s: float = LATER, **table) -> Rewards:
        out = export([traffic.decision(n) for n in range(5)], outcomes)
        return reward_decisions(read_log(out), msgspec.convert(table, RewardsConfig), now_s)

    return make


@pytest.fixture
def told(traffic):
    """An outcome about decision `n`."""
    keys = iter(range(1000))

    def make(value, n: int = 0, metric: str = "correct", source: str = "user", **changes) -> Outcome:
        kind = "bool" if isinstance(value, bool) else "label" if isinstance(value, str) else "number"
        plain = dataclasses.replace(traffic.told(n, value=True), key=f"k{next(keys)}", value=value, kind=kind)
        made: Outcome = dataclasses.replace(plain, metric=metric, source=source, **changes)
        return made

    return make


def test_a_decision_without_an_outcome_is_no_zero(rewarded, told):
    found = rewarded([told(True), told(False, 1)])
    assert found.reward.tolist()[:2] == [1.0, 0.0]
    assert np.isnan(found.reward[2:]).all()
    assert (found.count(Label.REPORTED), found.count(Label.NONE)) == (2, 3)


def test_several_metrics_are_weighed(rewarded, told):
    metrics = {"correct": {"weight": 3.0}, "stars": {"low": 1.0, "high": 5.0}}
    found = rewarded([told(True), told(3.0, metric="stars")], metrics=metrics)
    assert found.reward[0] == pytest.approx((3 * 1.0 + 0.5) / 4)
    assert found.share[0] == 1


def test_a_metric_that_was_not_reported_is_left_out_of_the_mean(rewarded, told):
    metrics = {"correct": {"weight": 3.0}, "stars": {"low": 1.0, "high": 5.0}}
    found = rewarded([told(5.0, metric="stars")], metrics=metrics)
    assert (found.reward[0], found.share[0]) == (1.0, 0.25)


def test_saying_it_again_adds_no_vote(rewarded, told):
    outcomes = [told(True, source="a"), *(told(False, source="b") for _ in range(9))]
    assert rewarded(outcomes).reward[0] == 0.5


def test_sources_count_as_much_as_they_are_trusted(rewarded, told):
    outcomes = [told(True, source="user"), told(False, source="grader"), told(False, source="nobody")]
    found = rewarded(outcomes, sources={"grader": 0.25, "nobody": 0.0})
    assert found.reward[0] == pytest.approx(1 / 1.25)
    assert found.left_out == {"source 'nobody' does not count": 1}


def test_a_reports_weight_counts_within_its_source_and_beside_others(rewarded, told):
    outcomes = [told(1.0, weight=3.0), told(0.0, weight=1.0)]
    assert rewarded(outcomes).reward[0] == 0.75
    outcomes = [told(1.0, 1, source="a", weight=3.0), told(0.0, 1, source="b", weight=1.0)]
    assert rewarded(outcomes).reward[1] == 0.75


def test_a_correction_replaces_what_was_said(rewarded, told):
    wrong = told(True)
    assert rewarded([wrong, told(False, supersedes=wrong.key)]).reward[0] == 0


def test_a_later_outcome_changes_the_reward(rewarded, told):
    assert rewarded([told(True)]).reward[0] == 1
    assert rewarded([told(False, source="other")]).reward[0] == 0.5


def test_less_can_be_better(rewarded, told):
    metrics = {"seconds": {"low": 10.0, "high": 0.0}}
    found = rewarded([told(2.5, metric="seconds"), told(99.0, 1, metric="seconds")], metrics=metrics)
    assert found.reward[:2].tolist() == [0.75, 0.0]


def test_labels_have_the_rewards_that_they_are_given(rewarded, told):
    metrics = {"resolved": {"labels": {"yes": 1.0, "partly": 0.5}}}
    outcomes = [told("partly", metric="resolved"), told("odd", 1, metric="resolved")]
    found = rewarded(outcomes, metrics=metrics)
    assert found.reward[0] == 0.5
    assert found.left_out == {"label 'odd' has no reward in [rewards.metrics.resolved]": 1}


@pytest.mark.parametrize("value", [1e308, -1e308, 2.0**1000])
def test_absurd_numbers_stay_in_bounds(rewarded, told, value):
    found = rewarded([told(value)], metrics={"correct": {"low": -1e300, "high": 1e-300}})
    assert 0 <= found.reward[0] <= 1


def test_what_says_nothing_about_the_answer_is_counted(rewarded, told):
    outcomes = [told(True), told(False, 1, sample_id="0.0"), told("good", 2)]
    outcomes.append(dataclasses.replace(told("well", 3), kind="comment"))
    found = rewarded(outcomes)
    assert found.used == 1
    assert sorted(found.left_out.values()) == [1, 1, 1]


def test_silence_has_the_default_once_it_lasted_long_enough(traffic, rewarded, told):
    now = traffic.created_at(2) + 3600.5  # three decisions are old enough
    found = rewarded([told(False)], now, wait_s=3600.0, default=1.0)
    assert found.reward.tolist()[:3] == [0.0, 1.0, 1.0]
    assert [found.count(label) for label in (Label.REPORTED, Label.DEFAULT, Label.PENDING)] == [1, 2, 2]


def test_a_young_decision_waits_although_something_came_early(traffic, rewarded, told):
    found = rewarded([told(True, 4)], traffic.created_at(4) + 10.0, wait_s=3600.0)
    assert np.isnan(found.reward[4])
    assert found.label[4] == Label.PENDING.value


def test_labels_are_right_where_bad_news_comes_late(traffic, export):
    """Half of the decisions are wrong; right ones are told at once, wrong ones after an hour."""
    made = [traffic.decision(n) for n in range(4000)]
    now = made[-1].created_at
    outcomes = []
    for n, row in enumerate(made):
        right = n % 2 == 0
        if row.created_at + (0.0 if right else 1800.0) <= now:
            outcomes.append(traffic.told(n, value=right))
    log = read_log(export(made, outcomes))
    naive = reward_decisions(log, RewardsConfig(), now).reward
    waiting = reward_decisions(log, RewardsConfig(wait_s=1800.0), now).reward
    assert np.nanmean(naive) > 0.6
    assert np.nanmean(waiting) == pytest.approx(0.5, abs=0.01)


def test_without_configuration_the_commonest_metric_counts(rewarded, told):
    found = rewarded([told(True), told(False, 1), told(0.3, 2, metric="other")])
    assert found.metrics == ("correct",)
    assert np.isnan(found.reward[2])


def test_a_log_without_outcomes_has_no_rewards(rewarded):
    found = rewarded([])
    assert np.isnan(found.reward).all()
    assert (found.metrics, found.share.tolist()) == ((), [0.0] * 5)
