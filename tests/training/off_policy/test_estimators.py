"""Every estimator reproduces an example that was worked out by hand, and finds a known truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from training.off_policy.clipped import Clipped
from training.off_policy.cross_fitted import CrossFitted
from training.off_policy.direct import Direct
from training.off_policy.doubly_robust import DoublyRobust
from training.off_policy.estimate import difference, estimate
from training.off_policy.inverse_propensity import InversePropensity
from training.off_policy.reward_model import Fits
from training.off_policy.self_normalised import SelfNormalised
from training.off_policy.student import student
from training.off_policy.switch import Switch
from training.off_policy.weights import weigh

# Two actions. The policy takes the second with .8, .5, 0; weights .8/.2 = 4, .5/.75 = 2/3, 1/.5 = 2.
CHANCE = np.array([[0.8, 0.2], [0.75, 0.25], [0.5, 0.5]])
DRAWN = np.array([1, 0, 0])
REWARD = np.array([1.0, 0.0, 0.5])
POLICY = np.array([[0.2, 0.8], [0.5, 0.5], [1.0, 0.0]])
MODEL = np.array([[0.2, 0.6], [0.4, 0.8], [0.3, 0.9]])  # q(x, a)


class Said(Fits):
    """A model that says `MODEL` whatever it is asked."""

    def predicted(self, model):
        return MODEL


@pytest.fixture
def three(rows):
    return rows(3, probabilities=CHANCE, action=DRAWN, reward=REWARD)


@pytest.mark.parametrize(
    ("estimator", "by_hand"),
    [
        (InversePropensity(), (4 * 1 + 0 + 2 * 0.5) / 3),
        (SelfNormalised(), (4 * 1 + 0 + 2 * 0.5) / (4 + 2 / 3 + 2)),
        (Clipped(cap=3.0), (3 * 1 + 0 + 2 * 0.5) / 3),
        (Direct(), (0.52 + 0.6 + 0.3) / 3),
        (DoublyRobust(), (0.52 + 4 * 0.4 + 0.6 - 2 / 3 * 0.4 + 0.3 + 2 * 0.2) / 3),
        (CrossFitted(), (0.52 + 4 * 0.4 + 0.6 - 2 / 3 * 0.4 + 0.3 + 2 * 0.2) / 3),
        (Switch(cap=3.0), (0.52 + 0.6 - 2 / 3 * 0.4 + 0.3 + 2 * 0.2) / 3),
    ],
    ids=lambda given: type(given).__name__ if not isinstance(given, float) else "",
)
def test_an_example_worked_out_by_hand(three, estimator, by_hand):
    scores = estimator.scores(three, REWARD, POLICY, Said(three, REWARD))
    assert scores.mean() == pytest.approx(by_hand, abs=1e-12)


@pytest.mark.parametrize(("cap", "corrected"), [(4.0, 4 * 0.4), (3.999, 0.0)])
def test_a_weight_of_just_the_cap_is_not_switched_off(three, cap, corrected):
    scores = Switch(cap=cap).scores(three, REWARD, POLICY, Said(three, REWARD))
    assert scores[0] == pytest.approx(0.52 + corrected)


def test_scores_of_the_weighted_mean_are_linearised(three):
    value, mean = 5 / (20 / 3), 20 / 9
    expected = [value + w / mean * (r - value) for w, r in zip((4, 2 / 3, 2), REWARD, strict=True)]
    assert SelfNormalised().scores(three, REWARD, POLICY, Said(three, REWARD)) == pytest.approx(expected)


def test_weights_worked_out_by_hand(three):
    found = weigh(three, POLICY)
    assert found.effective_rows == pytest.approx((4 + 2 / 3 + 2) ** 2 / (16 + 4 / 9 + 4))
    assert found.largest == pytest.approx(4)
    second = 0.04 / 0.8 + 0.64 / 0.2 + 0.25 / 0.75 + 0.25 / 0.25 + 1 / 0.5
    fourth = 0.2**4 / 0.8**3 + 0.8**4 / 0.2**3 + 0.5**4 / 0.75**3 + 0.5**4 / 0.25**3 + 1 / 0.5**3
    assert found.useful_rows == pytest.approx(second**2 / fourth)


def test_scores_with_a_heavy_tail_have_fewer_degrees_of_freedom_than_rows():
    """One score of 1 among a hundred: kurtosis 100 (.99^4 + 99 * .01^4) / (.99^2 + 99 * .01^2)^2, degrees by hand."""
    scores = np.zeros(100)
    scores[0] = 1.0
    kurtosis = 100 * (0.99**4 + 99 * 0.01**4) / (0.99**2 + 99 * 0.01**2) ** 2
    assert student(scores, -1 - np.arange(100)).degrees == pytest.approx(200 / (kurtosis - 1))


def test_the_first_session_of_a_log_is_one_unit_too():
    """Its number is 0."""
    found = student(np.array([0.0, 1.0, 1.0]), np.array([0, 0, -3]))
    assert found.units == 2


def test_an_interval_by_hand():
    scores = np.array([0.0, 0.0, 1.0, 1.0])
    found = student(scores, np.array([-1, -2, -3, -4]))
    assert found.standard_error == pytest.approx(np.sqrt(1 / 3 / 4))
    assert found.degrees == 3  # kurtosis 1: nothing heavier than n - 1
    lo, hi = found.both()
    assert hi - 0.5 == pytest.approx(3.182446 * found.standard_error)
    assert lo == pytest.approx(1 - hi)


def test_rows_of_one_session_count_as_one():
    scores = np.array([0.0, 0.0, 1.0, 1.0] * 50)
    alone = student(scores, -1 - np.arange(200))
    together = student(scores, np.repeat(np.arange(100), 2))
    assert together.units == 100
    assert together.standard_error == pytest.approx(alone.standard_error * np.sqrt(2), rel=0.01)


def known_world(rng: np.random.Generator, n: int, epsilon: float = 0.2) -> tuple[Any, ...]:
    """Rewards of three plans are probabilities linear in two features; the log follows the first feature's sign."""
    x = rng.normal(size=(n, 2))
    chances = np.clip(
        np.stack([0.5 + 0.1 * x[:, 0], 0.6 - 0.1 * x[:, 1], 0.4 + 0.2 * x[:, 1]], 1), 0.02, 0.98
    )
    p = np.full((n, 3), epsilon / 3)
    p[np.arange(n), np.where(x[:, 0] > 0, 0, 1)] += 1 - epsilon
    action = (rng.random(n)[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    reward = (rng.random(n) < chances[np.arange(n), action]).astype(float)
    target = np.zeros((n, 3))
    target[np.arange(n), np.where(x[:, 1] > 0, 2, 1)] = 1
    return x, chances, p, action, reward, target


def truth_of_known_world() -> float:
    x = np.random.default_rng(99).normal(size=(400_000, 2))
    second, third = np.clip(0.6 - 0.1 * x[:, 1], 0.02, 0.98), np.clip(0.4 + 0.2 * x[:, 1], 0.02, 0.98)
    return float(np.where(x[:, 1] > 0, third, second).mean())


@pytest.mark.parametrize("estimator", ["ips", "snips", "dr", "default"])
def test_what_is_unbiased_finds_the_truth_and_its_interval_covers(rows, estimator):
    truth, errors, hits = truth_of_known_world(), [], 0
    for seed in range(200):
        x, _, p, action, reward, target = known_world(np.random.default_rng([7, seed]), 1500)
        logged = rows(1500, 3, features=x, probabilities=p, action=action, reward=reward)
        found = estimate(logged, target, estimator=estimator)
        errors.append(found.value - truth)
        hits += found.lo <= truth <= found.hi
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(200)
    assert 0.91 <= hits / 200 <= 0.985


def test_a_model_makes_the_error_smaller_than_weights_alone_do(rows):
    truth, errors = truth_of_known_world(), dict.fromkeys(("ips", "snips", "default"), 0.0)
    for seed in range(60):
        x, chances, p, action, _, target = known_world(np.random.default_rng([8, seed]), 1500)
        reward = chances[np.arange(1500), action]  # without the noise that no model can take away
        logged = rows(1500, 3, features=x, probabilities=p, action=action, reward=reward)
        for name in errors:
            errors[name] += (estimate(logged, target, estimator=name).value - truth) ** 2
    assert errors["default"] < 0.5 * errors["snips"] < 0.5 * errors["ips"]


def test_a_difference_of_equal_policies_is_nothing_at_all(rows):
    x, _, p, action, reward, target = known_world(np.random.default_rng(1), 500)
    logged = rows(500, 3, features=x, probabilities=p, action=action, reward=reward)
    found = difference(logged, target, target)
    assert (found.value, found.lo, found.hi) == (0, 0, 0)


def test_a_difference_is_known_better_than_either_value(rows):
    x, _, p, action, reward, target = known_world(np.random.default_rng(1), 3000)
    logged = rows(3000, 3, features=x, probabilities=p, action=action, reward=reward)
    nearly = target.copy()
    nearly[:300] = p[:300]
    pair, alone = difference(logged, nearly, target), estimate(logged, target)
    assert pair.value == pytest.approx(estimate(logged, nearly).value - alone.value, abs=1e-12)
    assert pair.interval.standard_error < 0.5 * alone.interval.standard_error


def test_too_few_useful_rows_are_refused_in_words(rows):
    n = 1000
    p = np.tile([0.99, 0.01], (n, 1))
    target = np.tile([1.0, 0.0], (n, 1))
    target[:200] = [0.0, 1.0]
    found = difference(rows(n, probabilities=p), target, np.tile([1.0, 0.0], (n, 1)))
    assert found.refused.startswith("2.0 of 1000 rows say something")
    assert estimate(rows(20), np.full((20, 2), 0.5)).refused == "20 usable rows; at least 50 are needed"


@pytest.mark.parametrize(("leaves", "refused"), [(1500, False), (1400, True)])
def test_fifteen_useful_rows_are_enough(rows, leaves, refused):
    """At an exploration of 1 % a policy that leaves what was usual on 1,500 rows has some fifteen of them."""
    p = np.tile([0.99, 0.01], (2000, 1))
    usual = np.tile([1.0, 0.0], (2000, 1))
    other = usual.copy()
    other[:leaves] = [0.0, 1.0]
    found = difference(rows(2000, probabilities=p), other, usual)
    assert found.weights.useful_rows == pytest.approx(leaves / 100, rel=0.05)
    assert bool(found.refused) is refused


def test_what_the_log_cannot_speak_about_is_left_to_the_model_and_counted(rows):
    n = 100
    logged = rows(n, reward=np.full(n, 0.25)).offering({"new": "plan-0"})
    found = estimate(logged, np.tile([0.0, 0.0, 1.0], (n, 1)))
    assert found.weights.unsupported == 1.0
    assert found.weights.off_plan == 1.0
    assert found.value == pytest.approx(0.25)
