"""Tails on known truth; draws that depended on something that the propensities do not know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from training.errors import TrainingError
from training.off_policy.balance import balance
from training.off_policy.tails import quantile

LATE = np.array([[0.0, 1.0]])  # the policy that always takes the second plan


def slow_plan(rng: np.random.Generator, n: int) -> tuple[Any, Any]:
    """Latencies: exponential of mean 1 under the first plan, of mean 2 under the second, which .3 of the rows drew."""
    action = (rng.random(n) < 0.3).astype(np.int64)
    return action, rng.exponential(1.0 + action)


def test_a_quantile_by_hand(rows):
    logged = rows(4, probabilities=np.tile([0.5, 0.5], (4, 1)), action=np.array([1, 1, 0, 1]))
    outcome = np.array([1.0, 3.0, 99.0, 2.0])
    found = quantile(logged, np.tile(LATE, (4, 1)), outcome, 0.5)
    assert found.value == 2.0  # of 1, 2, 3, which alone have a weight


def test_the_95th_percentile_covers_the_truth(rows):
    n, hits = 2000, 0
    truth = 2 * np.log(20)  # of an exponential of mean 2
    for seed in range(150):
        action, latency = slow_plan(np.random.default_rng([4, seed]), n)
        logged = rows(n, probabilities=np.tile([0.7, 0.3], (n, 1)), action=action, latency=latency)
        tail = quantile(logged, np.tile(LATE, (n, 1)), latency, 0.95)
        hits += tail.lo <= truth <= tail.hi
    assert 0.90 <= hits / 150 <= 0.99


def test_a_tail_beyond_what_was_seen_is_unknown(rows):
    logged = rows(60, probabilities=np.tile([0.5, 0.5], (60, 1)), action=np.arange(60) % 2)
    found = quantile(logged, np.tile(LATE, (60, 1)), np.arange(60.0), 0.99)
    assert found.hi == np.inf


def test_a_policy_that_was_never_drawn_has_no_tail(rows):
    with pytest.raises(TrainingError, match="nothing that the policy does"):
        quantile(rows(10), np.tile(LATE, (10, 1)), np.ones(10), 0.95)
    with pytest.raises(TrainingError, match="must be in"):
        quantile(rows(10), np.tile(LATE, (10, 1)), np.ones(10), 1.0)


def honest(rng: np.random.Generator, n: int) -> tuple[Any, Any]:
    features = rng.normal(size=(n, 3))
    chance = 0.2 + 0.6 / (1 + np.exp(-features[:, 0]))
    return features, np.stack([1 - chance, chance], axis=1)


def test_honest_draws_are_hardly_ever_suspected(rows):
    n, least = 2000, []
    for seed in range(60):
        rng = np.random.default_rng([6, seed])
        features, p = honest(rng, n)
        tenant = rng.choice(["a", "b", "c"], n)
        logged = rows(
            n, features=features, probabilities=p, action=(rng.random(n) < p[:, 1]).astype(int), tenant=tenant
        )
        least.append(balance(logged).p)
    assert min(least) > 1e-3
    assert sum(p < 0.05 for p in least) <= 8


def test_draws_that_followed_the_tenant_and_did_not_say_so_are_found(rows):
    rng = np.random.default_rng(0)
    features, p = honest(rng, 2000)
    tenant = rng.choice(["a", "b"], 2000)
    really = np.where(tenant == "a", p[:, 1] + 0.1, p[:, 1] - 0.1)
    action = (rng.random(2000) < really).astype(int)
    found = balance(rows(2000, features=features, probabilities=p, action=action, tenant=tenant))
    assert found.suspicious
    assert "tenant" in found.worst


def test_propensities_that_are_simply_wrong_are_found(rows):
    rng = np.random.default_rng(0)
    features, p = honest(rng, 2000)
    action = (rng.random(2000) < p[:, 1] * 0.8).astype(int)
    assert balance(rows(2000, features=features, probabilities=p, action=action)).suspicious


def test_too_few_draws_are_not_tested(rows):
    assert balance(rows(10)).p == 1.0
