"""The promise about the risk, held against known truths."""

from __future__ import annotations

import numpy as np
import pytest

from predictors.errors import FitError
from predictors.risk import NEVER, risk_threshold, upper_bound


def world(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Confidences, and losses that are likelier where confidence is low; the true risk at any threshold is known."""
    confidence = rng.uniform(size=rows)
    return confidence, (rng.uniform(size=rows) < 0.6 * (1 - confidence)).astype(float)


def true_risk(threshold: float) -> float:
    """The integral of .6 (1 - c) over confidences of at least the threshold."""
    return 0.0 if threshold > 1 else 0.3 * (1 - threshold) ** 2


@pytest.mark.parametrize("risk", [0.05, 0.1])
@pytest.mark.parametrize("eta", [0.1, 0.035])
def test_the_true_risk_exceeds_the_promise_at_most_as_often_as_promised(risk, eta):
    rng = np.random.default_rng(11)
    broken = [true_risk(risk_threshold(*world(rng, 600), risk, eta)) > risk for _ in range(400)]
    assert np.mean(broken) <= eta + 2 * np.sqrt(eta * (1 - eta) / len(broken))


def test_with_many_rows_it_comes_close_to_the_best_threshold():
    threshold = risk_threshold(*world(np.random.default_rng(3), 50_000), 0.05)
    assert 0.8 * 0.05 < true_risk(threshold) <= 0.05


def test_a_larger_risk_never_stops_fewer():
    rows = world(np.random.default_rng(5), 800)
    thresholds = [risk_threshold(*rows, risk) for risk in (0.01, 0.02, 0.05, 0.1, 0.2)]
    assert thresholds == sorted(thresholds, reverse=True)


def test_without_losses_everything_stops_once_there_are_rows_enough():
    assert risk_threshold(np.full(200, 0.5), np.zeros(200), 0.05) == 0.0


def test_too_few_rows_promise_nothing():
    assert risk_threshold(np.ones(10), np.zeros(10), 0.05) == NEVER
    assert upper_bound(0, 10, 0.1) > 0.05


@pytest.mark.parametrize("bad", [np.array([np.nan]), np.array([2.0])])
def test_losses_that_are_no_shares_are_refused(bad):
    with pytest.raises(FitError):
        risk_threshold(np.ones(1), bad, 0.05)
