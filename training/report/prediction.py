"""What `apply` will cost and be worth in the next as many queries: prediction intervals from an observed log.

Symbols. Query i of n was answered by the reference plan at the real cost c_i. For every feasible plan a the log holds
its probability π_ia (what the policy would have drawn), forecast cost f_ia and forecast quality q_ia.

**Cost.** Forecasts are corrected by what was really seen: k_a = Σc/Σf over the rows on which plan a was run, which for
the reference is every row and for another plan its shadow runs (≥ `ENOUGH_RUNS`); a plan that never ran has k_a = 1.
m_i = Σ_a π_ia k_a f_ia is the query's expected cost under `apply`, saving S = 1 - Σm/Σc.

The interval is about the realised S' of *another* n queries, 1 - (1-S)·exp(± t·√V/(1-S)) with

    V · c̄² = var[e]          what these n queries do not tell: e_i = (1-S)c_i - m_i - (p_ref/f̄_ref)(c_i - k_ref f_i,ref)
            + var[d]          the other n queries differ from these: d_i = (1-S)c_i - m_i
            + draw            mean_i (Σ_a π_ia (k_a f_ia)² - m_i²) / n: which plan is drawn
            + length          mean_i Σ_a π_ia v_a (k_a f_ia)² / n: answers are longer or shorter than expected,
                              v_a = Σ(c - k f)² / Σ(k f)² where a was run, the reference's where it was not
            + Σ_seen p_a² var k_a + (Σ_unseen p_a)² (k_ref - 1)²    p_a = mean_i π_ia f_ia
            + length · n / labelled                                  only plans that were not run

var[·] is that of a mean over independent sessions (queries without one stand alone); a draw is shared by its session.
The last line but one: a plan that never ran is trusted as far as the reference's forecast proved right. The last line:
what a fit on `labelled` queries does not know about their mean is what as many queries do not show of it.

**Quality.** With m_i = Σ_a π_ia q_ia the reward of a realised query has the variance m_i - m_i² (plan drawn, then right
or wrong), that of the reference q_i(1 - q_i); the difference Δ = mean (m - q_ref) gets

    V = 2 var[m - q_ref] + mean_i (m_i - m_i² + q_i,ref (1 - q_i,ref)) (1/n + (1 + e_p²)/labelled)

as if both answers were drawn independently, which is on the safe side. For rewards between 0 and 1 it is so too. A fit
on `labelled` queries errs about each plan, and whoever takes the highest forecast of p plans takes errors that point
upwards: e_p is the expectation of the largest of p standard normal errors, Φ⁻¹((p - 3/8) / (p + 1/4)) (Blom 1958).

When it fails: signals that are not calibrated on this traffic (the report checks them where outcomes are known); very
few labels: the error of the choice widens the interval and does not shift it; next week's queries are other queries;
`apply` changes the traffic; costs so heavy-tailed that a week's largest query decides its bill.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.report.intervals import Floats, Interval, around, around_ratio, mean_variance, shared_variance

ENOUGH_RUNS = 20  # shadow runs of a plan before its costs are corrected by them


@dataclass(frozen=True, slots=True)
class Observed:
    """Answered queries of mode observe; money in micro-dollars. `plans` has p names."""

    plans: tuple[str, ...]
    reference: int  # index in `plans`
    cost: Floats = field(compare=False)  # (n,) >= 0, of the reference
    probability: Floats = field(compare=False)  # (n, p), rows sum to 1; 0: not feasible
    forecast: Floats = field(compare=False)  # (n, p) >= 0, expected cost; 0: not feasible
    quality: Floats = field(compare=False)  # (n, p) in [0, 1]; NaN: not known, or not feasible
    session: NDArray[np.int64] = field(compare=False)  # (n,) rows with equal numbers share their draw


@dataclass(frozen=True, slots=True)
class Runs:
    """Shadow runs: which plan was really run, what it cost, and what had been expected."""

    plan: NDArray[np.int64] = field(compare=False)  # (m,) index in `Observed.plans`
    cost: Floats = field(compare=False)  # (m,) micro-dollars
    forecast: Floats = field(compare=False)  # (m,) micro-dollars


@dataclass(frozen=True, slots=True)
class Ratio:
    """How a plan's real cost compares with its forecast."""

    real_over_forecast: float  # k
    variance: float  # of k
    spread: float  # v: squared relative deviation of one query's cost from k times its forecast
    runs: int  # 0: it never ran, k = 1 is an assumption


@dataclass(frozen=True, slots=True)
class Money:
    """Costs in micro-dollars per query, saving as a fraction of the reference's cost."""

    reference: float  # what it really cost
    apply: Interval
    saving: Interval
    ratios: Mapping[str, Ratio]


@dataclass(frozen=True, slots=True)
class Worth:
    """Expected rewards in [0, 1] over `rows` queries; `difference` is apply's minus the reference's."""

    rows: int
    reference: float
    apply: Interval
    difference: Interval


def predict_money(seen: Observed, runs: Runs | None = None, labelled: float = math.inf) -> Money:
    """The cost of `apply` and its saving; `seen` has >= 1 row of which some cost > 0.

    `labelled`: queries that the forecasts were fitted on; infinity leaves the fit's own error out.
    """
    count, groups = len(seen.cost), len(np.unique(seen.session))
    ratios = cost_ratios(seen, runs)
    ran = np.array([ratio.runs > 0 for ratio in ratios])
    k = np.array([ratio.real_over_forecast for ratio in ratios])
    v = np.array([ratio.spread for ratio in ratios])
    expected = k * seen.forecast  # (n, p)
    weighted = seen.probability * seen.forecast
    m = (seen.probability * expected).sum(axis=1)  # (n,)
    p_bar, f_bar = weighted.mean(axis=0), float(seen.forecast[:, seen.reference].mean())

    error = seen.cost - k[seen.reference] * seen.forecast[:, seen.reference]
    corrected = p_bar[seen.reference] / f_bar * error if f_bar > 0 else np.zeros(count)
    draw = np.sqrt(np.maximum(0.0, (seen.probability * expected**2).sum(axis=1) - m**2))
    length = (seen.probability * expected**2 * v).mean(axis=0)  # (p,)
    noise = shared_variance(draw, seen.session) + float(length.sum()) / count
    others = np.arange(len(k)) != seen.reference
    variances = np.array([ratio.variance for ratio in ratios])
    noise += float((p_bar**2 * variances)[ran & others].sum())
    noise += float(p_bar[~ran].sum()) ** 2 * (k[seen.reference] - 1) ** 2
    noise += float(length[~ran].sum()) / labelled

    cost = float(seen.cost.mean())
    saving = 1 - float(m.mean()) / cost
    left = (1 - saving) * seen.cost - m
    of_saving = mean_variance(left - corrected, seen.session) + mean_variance(left, seen.session) + noise
    of_cost = mean_variance(m + corrected, seen.session) + mean_variance(m, seen.session) + noise
    kept = around_ratio(1 - saving, of_saving / cost**2, groups)
    return Money(
        reference=cost,
        apply=around_ratio(float(m.mean()), of_cost, groups),
        saving=Interval(saving, 1 - kept.hi, 1 - kept.lo),
        ratios=dict(zip(seen.plans, ratios, strict=True)),
    )


def cost_ratios(seen: Observed, runs: Runs | None) -> list[Ratio]:
    """Per plan: the reference by every row, others by their shadow runs, and what never ran as if it were right."""
    reference = ratio_of(seen.cost, seen.forecast[:, seen.reference])
    found: list[Ratio] = []
    for place in range(len(seen.plans)):
        mine = runs.plan == place if runs is not None else np.zeros(0, dtype=bool)
        if place == seen.reference:
            found.append(reference)
        elif runs is not None and mine.sum() >= ENOUGH_RUNS and runs.forecast[mine].sum() > 0:
            found.append(ratio_of(runs.cost[mine], runs.forecast[mine]))
        else:
            found.append(Ratio(1.0, 0.0, reference.spread, 0))
    return found


def ratio_of(cost: Floats, forecast: Floats) -> Ratio:
    """k = Σc/Σf, its variance Σ(c - kf)²/(Σf)² · n/(n-1) (ratio estimator, Cochran 1977), and v = Σ(c - kf)²/Σ(kf)²."""
    count, total = len(cost), float(forecast.sum())
    if total <= 0:
        return Ratio(1.0, 0.0, 0.0, count)
    k = float(cost.sum()) / total
    squares = float(((cost - k * forecast) ** 2).sum())
    size = float(((k * forecast) ** 2).sum())
    variance = squares / total**2 * count / max(1, count - 1)
    return Ratio(k, variance, squares / size if size > 0 else 0.0, count)


def largest_error(count: int) -> float:
    """The expectation of the largest of `count` >= 1 standard normal numbers (Blom 1958); 0 for one."""
    from scipy.stats import norm

    return float(norm.ppf((count - 0.375) / (count + 0.25)))


def predict_worth(seen: Observed, labelled: float = math.inf) -> Worth | None:
    """The quality of `apply`, over the rows where that of every plan that might be drawn is known; None: of none."""
    known = np.isfinite(seen.quality)
    use = known[:, seen.reference] & (known | (seen.probability == 0)).all(axis=1)
    if not use.any():
        return None
    probability, session = seen.probability[use], seen.session[use]
    quality = np.where(known, seen.quality, 0.0)[use]
    reference = quality[:, seen.reference]
    m = (probability * quality).sum(axis=1)
    count, groups = int(use.sum()), len(np.unique(session))
    drawn = np.sqrt(np.maximum(0.0, (probability * quality**2).sum(axis=1) - m**2))
    right = (probability * quality * (1 - quality)).sum(axis=1)
    own = shared_variance(drawn, session) + float(right.mean()) / count
    both = own + float((reference * (1 - reference)).mean()) / count
    more = 1 + count / labelled * (1 + largest_error(int((probability > 0).any(axis=0).sum())) ** 2)
    of_apply = 2 * mean_variance(m, session) + own * more
    of_difference = 2 * mean_variance(m - reference, session) + both * more
    return Worth(
        rows=count,
        reference=float(reference.mean()),
        apply=around(float(m.mean()), of_apply, groups).within(0.0, 1.0),
        difference=around(float((m - reference).mean()), of_difference, groups).within(-1.0, 1.0),
    )
