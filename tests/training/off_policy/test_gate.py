"""The promotion gate: what it lets through, what it stops and why, and what a test costs."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from training.errors import TrainingError
from training.off_policy.alpha_spending import AlphaSpending
from training.off_policy.gate import Terms, Verdict, gate
from training.off_policy.guards import Besides, Limits
from training.off_policy.logged import LoggedRows
from training.off_policy.null_tests import null_test

N = 4000
FIRST, SECOND = np.tile([1.0, 0.0], (N, 1)), np.tile([0.0, 1.0], (N, 1))


@pytest.fixture
def log(rows):
    """Even odds of two plans; the second is right 10 points more often; costs and latencies as given."""

    def built(seed=0, gain=0.1, cost=(1.0, 1.0), latency=(1.0, 1.0), **given):
        rng = np.random.default_rng(seed)
        features, action = rng.normal(size=(N, 2)), rng.integers(0, 2, N)
        chance = 0.5 + gain * action + 0.1 * np.tanh(features[:, 0])
        filled = {
            "features": features,
            "action": action,
            "reward": (rng.random(N) < chance).astype(float),
            "cost": np.asarray(cost)[action] * rng.uniform(0.8, 1.2, N),
            "latency": np.asarray(latency)[action] * rng.exponential(1.0, N),
        }
        return rows(N, **(filled | given))

    return built


def asked(logged: LoggedRows, **given: Any) -> Verdict:
    return gate(logged, SECOND, FIRST, **({"spending": AlphaSpending()} | given))


def test_a_candidate_that_is_better_and_harms_nothing_is_promoted(log):
    found = asked(log())
    assert found.promote
    assert found.reasons == ()
    assert found.gain.lo < 0.1 < found.gain.hi
    assert 0 < found.lower < found.gain.value
    assert {one.name for one in found.guards} == {"support", "propensities", "spend", "p95 latency"}
    assert found.null is not None
    assert found.null.passed <= found.null.allowed


def test_a_gain_below_the_margin_is_not_enough(log):
    found = asked(log(), terms=Terms(margin=0.1))
    assert not found.promote
    assert found.reasons[0].startswith("gain +0.")
    assert "the margin is 0.1" in found.reasons[0]


def test_the_incumbent_against_itself_is_no_test(log):
    spending = AlphaSpending(tests=3)
    found = gate(log(), FIRST, FIRST, spending=spending)
    assert (found.promote, found.tested, found.spending) == (False, False, spending)
    assert found.reasons == ("it does what the incumbent does",)


def test_too_few_rows_are_no_test_and_cost_nothing(log):
    logged = log().taken(np.arange(30))
    found = gate(logged, SECOND[:30], FIRST[:30], spending=AlphaSpending())
    assert found.reasons == ("30 usable rows; at least 50 are needed",)
    assert found.spending.tests == 0


@pytest.mark.parametrize(
    ("given", "guard"),
    [
        ({"cost": (1.0, 1.2)}, "spend"),
        ({"latency": (1.0, 1.5)}, "p95 latency"),
    ],
)
def test_a_better_mean_is_not_bought_with_harm(log, given, guard):
    found = asked(log(**given))
    assert not found.promote
    assert [reason.split(":")[0] for reason in found.reasons] == [guard]


@pytest.mark.parametrize(
    ("given", "none", "guard"),
    [
        ({"cost": (1.0, 1.035)}, {"spend_growth": 0.0}, "spend"),
        ({"latency": (1.0, 1.07)}, {"latency_growth": 0.0}, "p95 latency"),
    ],
)
def test_what_grows_less_than_its_limit_is_let_through(log, given, none, guard):
    assert asked(log(**given)).promote
    strict = asked(log(**given), terms=Terms(limits=Limits(**none)))
    assert [reason.split(":")[0] for reason in strict.reasons] == [guard]


def test_a_tenant_that_loses_stops_it(log):
    rng = np.random.default_rng(8)
    tenant = np.where(np.arange(N) % 5 == 0, "unlucky", "others")
    base = log()
    harmed = (tenant == "unlucky") & (base.action == 1)
    reward = np.where(harmed, rng.random(N) < 0.35, base.reward).astype(float)
    found = asked(log(tenant=tenant, reward=reward))
    assert not found.promote
    assert found.reasons[0].startswith("slice: tenant 'unlucky' loses 0.1")


def test_slices_that_gain_pass_together(log):
    task = np.random.default_rng(1).choice(["a", "b", "c", "d"], N)
    found = asked(log(task=task))
    assert found.promote
    assert next(one for one in found.guards if one.name == "slices").said == "none of 4 loses more than 0.02"


def test_a_slice_may_lose_up_to_the_limit(log):
    """Without noise: one tenant loses a point and a half, the others gain ten."""
    tenant = np.where(np.arange(N) % 5 == 0, "unlucky", "others")
    action = log().action
    reward = 0.5 + action * np.where(tenant == "unlucky", -0.015, 0.1)
    told = log(tenant=tenant, reward=reward, features=(tenant == "unlucky").astype(float)[:, None])
    assert asked(told).promote
    strict = asked(told, terms=Terms(limits=Limits(slice_loss=0.005)))
    assert [reason.partition(" loses ")[0] for reason in strict.reasons] == ["slice: tenant 'unlucky'"]


def test_many_slices_share_one_error(log):
    """Twenty tasks lose just what they may; each alone would be found guilty one time in ten."""
    guilty = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        number = np.where(np.arange(N) < N // 2, 0, 1 + np.arange(N) % 20)
        action = log(seed=seed).action
        chance = 0.5 + action * np.where(number == 0, 0.4, -0.02)
        reward = (rng.random(N) < chance).astype(float)
        found = asked(log(seed=seed, task=number.astype(str), reward=reward))
        assert found.guards  # the gain is proved, so that they are asked
        guilty += any(one.name == "slice" for one in found.guards)
    assert guilty <= 5  # one by one it would be nearly all


def test_a_slice_for_which_hardly_anything_changes_is_not_judged(log):
    logged = log(task=np.where(np.arange(N) < 60, "few", "many"))
    candidate = SECOND.copy()
    candidate[3:60] = FIRST[3:60]
    found = gate(logged, candidate, FIRST, spending=AlphaSpending())
    assert [one.said for one in found.guards if one.name == "slices"] == ["none of 1 loses more than 0.02"]


def test_a_cheaper_plan_of_equal_quality_gains_at_a_price(log):
    logged = log(gain=0.0, cost=(2.0, 1.0))
    assert not asked(logged).promote
    assert asked(logged, price=0.1).promote
    assert asked(logged, price=np.full(N, 0.1)).gain.value == asked(logged, price=0.1).gain.value


def test_risk_must_be_shown_to_be_kept(log):
    rng = np.random.default_rng(3)
    ran = rng.random(N) < 0.3
    losses = np.where(ran, (rng.random(N) < 0.04) / 0.3, 0.0)
    shown = Besides(losses=losses)
    assert asked(log(), terms=Terms(limits=Limits(max_risk=0.08)), besides=shown).promote
    found = asked(log(), terms=Terms(limits=Limits(max_risk=0.04)), besides=shown)
    assert found.reasons[0].startswith("risk: 0.0")
    value, upper = map(float, re.findall(r"0\.\d+", found.reasons[0])[:2])
    between = Terms(limits=Limits(max_risk=(value + upper) / 2))
    assert not asked(log(), terms=between, besides=shown).promote
    with pytest.raises(TrainingError, match="max_risk is set"):
        asked(log(), terms=Terms(limits=Limits(max_risk=0.04)))


def test_a_candidate_that_expects_too_much_is_stopped(log):
    expected = np.tile([0.9, 0.95], (N, 1))
    found = asked(log(), besides=Besides(expected=expected))
    assert found.reasons[0].startswith("calibration: off by 0.")
    honest = np.tile([0.5, 0.6], (N, 1))
    assert asked(log(), besides=Besides(expected=honest)).promote


def test_what_was_never_drawn_is_doubted_and_limited(log):
    logged = log().offering({"new": "plan-1"})
    new = np.tile([0.0, 0.0, 1.0], (N, 1))
    found = gate(logged, new, np.tile([1.0, 0, 0], (N, 1)), spending=AlphaSpending())
    assert not found.promote
    assert found.lower < found.gain.interval.lower(found.level) - 0.09
    trusted = Terms(doubt=0.0)
    found = gate(logged, new, np.tile([1.0, 0, 0], (N, 1)), spending=AlphaSpending(), terms=trusted)
    assert found.reasons[0].startswith("support: 100.0% of what it would do")


def test_wrong_propensities_stop_everything(log):
    found = asked(log(probabilities=np.tile([0.4, 0.6], (N, 1))))
    assert not found.promote
    assert any(reason.startswith("propensities:") for reason in found.reasons)


def test_shuffled_rewards_do_not_promote(log):
    logged = log()
    rng = np.random.default_rng(5)
    promoted = 0
    for _ in range(40):
        shuffled = log(reward=logged.reward[rng.permutation(N)])
        promoted += asked(shuffled, terms=Terms(shuffles=0)).promote
    assert promoted <= 6  # at 5 %: 2 expected


def test_more_shuffles_that_pass_than_their_level_allows_fail_the_null_test(log):
    logged = log()
    asked_for: dict[str, Any] = {
        "margin": 0.0,
        "level": 0.001,
        "rng": np.random.default_rng(0),
        "shuffles": 40,
    }
    found = null_test(logged, SECOND, FIRST, logged.reward, **asked_for)
    assert not found.failed
    assert (found.shuffles, found.allowed) == (40, 7)  # 99.9 % quantile of a binomial of 40 at .05
    below = null_test(logged, SECOND, FIRST, logged.reward, **(asked_for | {"margin": -0.5}))
    assert below.failed  # a margin that chance itself passes


def test_where_shuffled_outcomes_pass_nothing_is_promoted(log):
    found = asked(log(), terms=Terms(margin=-0.5))  # a margin that chance itself passes
    assert found.lower > -0.5
    assert not found.promote
    assert found.reasons == ("null test: 20 of 20 shuffled outcomes pass (5 may)",)


@pytest.mark.parametrize("tests", [0, 7])
def test_the_bound_is_the_one_of_this_tests_level(log, tests):
    spending = AlphaSpending(tests=tests)
    found = asked(log(), spending=spending)
    assert found.level == spending.level
    assert found.lower == found.gain.interval.lower(spending.level)


def test_every_test_takes_its_part_of_one_error():
    spending = AlphaSpending(alpha=0.1)
    levels = []
    for _ in range(500):
        levels.append(spending.level)
        spending = spending.tested(promoted=False)
    assert levels[:3] == pytest.approx([0.05, 0.1 / 6, 0.1 / 12])
    assert sum(levels) == pytest.approx(spending.spent)
    assert spending.spent < 0.1
    assert spending.tested(promoted=True).level == 0.05


def test_what_was_spent_survives_as_json():
    spending = AlphaSpending(tests=4)
    assert AlphaSpending.from_json(json.loads(json.dumps(spending.to_json()))) == spending
    with pytest.raises(TrainingError, match="expected the keys"):
        AlphaSpending.from_json({"tests": 1})
    with pytest.raises(TrainingError, match="alpha must be in"):
        AlphaSpending(alpha=2.0)


def test_a_verdict_is_json_whatever_it_says(log):
    refused = gate(log(), FIRST, FIRST, spending=AlphaSpending()).to_json()
    assert json.loads(json.dumps(refused, allow_nan=False))["lower"] is None
    assert json.loads(json.dumps(asked(log()).to_json(), allow_nan=False))["promote"] is True


def test_equal_arguments_give_equal_verdicts(log):
    assert asked(log()) == asked(log())
