"""The rows of an evaluation: what they refuse, and what of a log can be used."""

from __future__ import annotations

import re

import numpy as np
import pytest

from training.errors import TrainingError
from training.off_policy.logged import checked_policy, unsupported
from training.off_policy.usable import (
    BAD_COST,
    BAD_OUTCOME,
    BAD_PROBABILITIES,
    NO_FEATURES,
    NO_OUTCOME,
    NO_PROPENSITY,
    OVERRIDDEN,
    UNKNOWN_DIGEST,
    LogColumns,
    usable,
    usable_rows,
)

NAN = float("nan")


def test_a_propensity_is_the_probability_of_what_was_drawn(rows):
    logged = rows(2, probabilities=np.array([[0.9, 0.1], [0.3, 0.7]]), action=np.array([0, 1]))
    assert logged.propensity.tolist() == [0.9, 0.7]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"reward": np.array([0.5, 1.5])}, "rewards must be in"),
        ({"reward": np.array([0.5, NAN])}, "rewards must be in"),
        ({"features": np.array([[0.0], [np.inf]])}, "features must be finite"),
        ({"action": np.array([0, 2])}, "action must be in 0..1"),
        ({"probabilities": np.array([[0.5, 0.5], [0.5, 0.4]])}, "add up to 1"),
        ({"probabilities": np.array([[0.5, 0.5], [0.0, 1.0]])}, "a chance above 0"),
        ({"cost": np.array([0.5, -1.0])}, "cost and latency"),
        ({"actions": ("a", "a")}, "1 different"),
        ({"task": np.array(["one"])}, "2 rows, but 1 of task"),
    ],
)
def test_rows_that_cannot_be_are_refused_in_words(rows, given, why):
    with pytest.raises(TrainingError, match=re.escape(why)):
        rows(2, **given)


def test_a_new_digest_has_no_support_in_the_log(rows):
    logged = rows(2).offering({"new": "plan-0"})
    policy = np.array([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]])
    assert logged.plans == ("plan-0", "plan-1", "plan-0")
    assert unsupported(logged, checked_policy(logged, policy, "candidate")).tolist() == [0.5, 0.0]


def test_a_policy_must_add_up_and_fit_the_log(rows):
    with pytest.raises(TrainingError, match="candidate: probabilities of a row"):
        checked_policy(rows(1), np.array([[0.5, 0.6]]), "candidate")
    with pytest.raises(TrainingError, match=r"candidate: probabilities are \(1, 1\)"):
        checked_policy(rows(1), np.array([[1.0]]), "candidate")


def test_rows_that_cannot_be_used_are_counted_by_their_first_reason():
    n = 10
    even = np.full((n, 2), 0.5)
    even[3] = (0.5, 0.6)
    propensity = np.full(n, 0.5)
    propensity[2], propensity[9] = NAN, 0.25
    features = np.zeros((n, 1))
    features[4] = NAN
    reward = np.ones(n)
    reward[5], reward[6] = NAN, 1e308
    cost = np.ones(n)
    cost[7] = np.inf
    log = LogColumns(
        digests=("a", "b"),
        plans=("small", "large"),
        features=features,
        probabilities=even,
        action=np.array([0, -1, 0, 0, 0, 0, 0, 0, 1, 0]),
        propensity=propensity,
        usable=np.arange(n) != 0,
        reward=reward,
        cost=cost,
        latency=np.ones(n),
        time=np.zeros(n),
        tenant=np.full(n, "t"),
        task=np.full(n, ""),
        session=[""] * n,
        unusable_reason=["shadow run"] + [""] * (n - 1),
    )
    logged, places = usable(log)
    assert places.tolist() == [8]
    assert logged.action.tolist() == [1]
    assert logged.unusable == {
        f"{OVERRIDDEN}: shadow run": 1,
        UNKNOWN_DIGEST: 1,
        NO_PROPENSITY: 1,
        BAD_PROBABILITIES: 2,
        NO_FEATURES: 1,
        NO_OUTCOME: 1,
        BAD_OUTCOME: 1,
        BAD_COST: 1,
    }


def test_the_queries_of_a_session_are_one_cluster_and_others_are_alone():
    n = 4
    log = LogColumns(
        digests=("a",),
        plans=("small",),
        features=np.zeros((n, 1)),
        probabilities=np.ones((n, 1)),
        action=np.zeros(n, dtype=np.int64),
        propensity=np.ones(n),
        usable=np.ones(n, dtype=np.bool_),
        reward=np.ones(n),
        cost=np.ones(n),
        latency=np.ones(n),
        time=np.zeros(n),
        tenant=np.full(n, "t"),
        task=np.full(n, ""),
        session=["s", "", "s", ""],
    )
    cluster = usable_rows(log).cluster
    assert cluster[0] == cluster[2]
    assert len(set(cluster.tolist())) == 3
