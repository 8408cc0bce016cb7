"""The lowest threshold on a confidence that keeps a promise about the risk.

Risk is the share of *all* queries that stopped (confidence >= threshold), were wrong, and would have been right
by going on. Learn-then-Test with a fixed sequence (Angelopoulos, Bates, Candès, Jordan & Lei 2021): thresholds
are walked from the safest down, each tested by the exact binomial upper bound at confidence 1 - eta, until the
first that fails. Then P(true risk > risk) <= eta for queries exchangeable with the calibration rows.

When it fails: the promise is void where traffic differs from the calibration rows, or where the confidence was
fitted on them. With few rows it is safe and useless: below log(eta) / log(1 - risk) rows nothing stops at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from predictors.errors import FitError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEVER = 1.01  # a threshold that no probability reaches
STEP = 0.005  # of the fixed sequence of thresholds


def upper_bound(losses: int, rows: int, eta: float) -> float:
    """Exact (Clopper-Pearson) upper bound of a share at confidence 1 - `eta`, having seen `losses` of `rows`."""
    from scipy.special import betaincinv

    return 1.0 if losses >= rows else float(betaincinv(losses + 1, rows - losses, 1.0 - eta))


def risk_threshold(
    confidence: NDArray[np.float64], loss: NDArray[np.float64], risk: float, eta: float = 0.1
) -> float:
    """The threshold for `risk` in (0, 1), from rows never used to fit the confidence.

    `confidence` (n,) in [0, 1]: of the sample that might end the plan. `loss` (n,): 1 where it was wrong and
    going on would have been right, else 0 (shares of several draws count as they are, rounded up in sum).
    Returns `NEVER` where no threshold can be promised. Raises `FitError` for shapes or values outside of these.
    """
    import numpy as np

    if confidence.shape != loss.shape or confidence.ndim != 1:
        raise FitError(f"risk: confidence {confidence.shape} and loss {loss.shape} must be two equal vectors")
    if not (np.isfinite(confidence).all() and np.isfinite(loss).all() and ((loss >= 0) & (loss <= 1)).all()):
        raise FitError("risk: confidences must be finite and losses lie in [0, 1]")
    if not 0 < risk < 1 or not 0 < eta < 1:
        raise FitError(f"risk: risk and eta must lie between 0 and 1, got {risk} and {eta}")
    order = np.argsort(-confidence, kind="stable")
    ranked, lost = confidence[order], np.concatenate([[0.0], np.cumsum(loss[order])])
    best = NEVER
    for threshold in np.arange(1.0, -STEP / 2, -STEP):
        stopped = int(np.searchsorted(-ranked, -threshold, side="right"))
        if upper_bound(int(np.ceil(lost[stopped] - 1e-9)), len(ranked), eta) > risk:
            break
        best = float(threshold)
    return round(best, 6)
