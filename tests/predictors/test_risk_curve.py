"""Thresholds that promise a risk keep it, and are refused where nothing keeps it."""

from __future__ import annotations

import numpy as np
import pytest

from predictors.errors import BundleError
from predictors.risk_curve import ETA, STEPS, RiskCurves, losses_allowed, upper_bound

RISK = 0.05


def drawn(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Confidences, and losses of which each is as likely as .4 (1 - confidence)."""
    confidence = rng.beta(2, 1, n)
    return confidence, rng.random(n) < 0.4 * (1 - confidence)


def curves(rng: np.random.Generator, n: int) -> RiskCurves:
    return RiskCurves.of(("small", "large"), {(0, 1): drawn(rng, n)})


def test_the_true_risk_is_above_the_promised_one_in_at_most_one_of_ten_calibrations() -> None:
    rng = np.random.default_rng(0)
    confidence, loss = drawn(rng, 400_000)
    over, kept = [], []
    for _ in range(400):
        found = curves(rng, 600).threshold("small", "large", RISK)
        assert found is not None
        stops = confidence >= found
        over.append(float((stops & loss).mean()) > RISK)
        kept.append(float(stops.mean()))
    assert np.mean(over) <= ETA + 2 * np.sqrt(ETA * (1 - ETA) / 400)
    best = np.sort(confidence)[::-1][np.cumsum(loss[np.argsort(-confidence)]) <= RISK * len(loss)].min()
    assert np.mean(kept) >= 0.8 * float((confidence >= best).mean())


def test_with_few_queries_no_threshold_is_given() -> None:
    assert curves(np.random.default_rng(1), 40).threshold("small", "large", RISK) is None


def test_a_pair_that_was_not_calibrated_has_no_threshold() -> None:
    found = curves(np.random.default_rng(1), 2000)
    assert found.threshold("small", "large", RISK) is not None
    assert found.threshold("large", "small", RISK) is None
    assert found.threshold("small", "other", RISK) is None


def test_a_larger_risk_stops_no_later() -> None:
    found = curves(np.random.default_rng(2), 2000)
    thresholds = [found.threshold("small", "large", risk) for risk in (0.02, 0.05, 0.1, 0.2)]
    known = [one for one in thresholds if one is not None]
    assert len(known) == 4
    assert known == sorted(known, reverse=True)
    assert known[0] > known[-1]


def test_where_nothing_is_lost_everything_is_kept() -> None:
    confidence = np.random.default_rng(3).random(500)
    found = RiskCurves.of(("a", "b"), {(0, 1): (confidence, np.zeros(500, bool))})
    assert found.threshold("a", "b", RISK) == 0.0


def test_the_walk_ends_at_the_first_threshold_that_fails_also_where_a_later_one_would_pass() -> None:
    found = curves(np.random.default_rng(4), 1000)
    losses = found.losses.copy()
    losses[0, 10] = 1000  # cannot happen with counts: they only grow
    damaged = RiskCurves(found.backends, found.pairs, found.counts, losses)
    assert damaged.threshold("small", "large", 0.2) == pytest.approx(1 - 9 / STEPS)


def test_the_bound_is_exact_and_the_allowance_is_its_inverse() -> None:
    assert upper_bound(0, 50, 0.1) == pytest.approx(1 - 0.1 ** (1 / 50))
    allowed = losses_allowed(1000, RISK, ETA)
    assert upper_bound(allowed, 1000, ETA) <= RISK < upper_bound(allowed + 1, 1000, ETA)


def test_what_is_written_is_read_again_and_what_does_not_fit_is_refused() -> None:
    found = curves(np.random.default_rng(5), 800)
    again = RiskCurves.from_arrays(found.backends, found.arrays())
    assert again.threshold("small", "large", RISK) == found.threshold("small", "large", RISK)
    with pytest.raises(BundleError, match="risk curves"):
        RiskCurves.from_arrays(("small",), found.arrays())


def test_as_many_losses_as_the_bound_allows_are_kept_and_one_at_the_threshold_itself_counts() -> None:
    """By hand: `allowed` losses at a confidence of .9 pass, the next one, at .5, ends the walk one step above it."""
    allowed = losses_allowed(1000, RISK, ETA)
    confidence = np.full(1000, 0.3)
    confidence[:allowed], confidence[allowed] = 0.9, 0.5
    found = RiskCurves.of(("a", "b"), {(0, 1): (confidence, np.arange(1000) <= allowed)})
    assert found.threshold("a", "b", RISK) == 0.5 + 1 / STEPS
