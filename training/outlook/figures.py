"""What a policy at a price would have saved, and at what risk: figures with intervals from queries it had not seen.

Symbols. Query i of n; π_ia is the probability that the policy draws plan a, c_ia what a really cost and r_ia what its
answer earned when it was run; "ref" is the reference plan. m_i = Σ_a π_ia c_ia and g_i = Σ_a π_ia r_ia are what the
query costs and earns under the policy.

    saving      S = 1 - Σm / Σc_ref
    difference  D = mean (g - r_ref)
    risk        R = mean Σ_a π_ia max(0, r_ref,i - r_ia): wrong, and would have been right by the reference
    over mix    G = mean (g - (w r_ref + (1-w) r_cheap)), w such that both cost the same: what chance would earn

Each interval holds, 95 times out of 100, the figure of *as many other such queries*: the variance of a mean over these
queries counts twice (they are a draw, and so will the others be), and which plan is drawn adds its own:
V = 2 var[x] + mean_i (Σ_a π_ia x_ia² - (Σ_a π_ia x_ia)²) / n. S is symmetric in the logarithm of 1 - S; R has Wilson's
interval of n/2 queries, so that no event in few queries is not read as no risk.

When it fails: other traffic than these queries; labels that are not what matters (`agrees` measures agreement);
bundles differ by the queries they are fitted on, which is not in the intervals: with some hundred labels it adds a few
tenths to them; costs so heavy-tailed that one query decides the bill.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.errors import NotEnoughData
from training.outlook.trial import Trial
from training.report.intervals import Interval, around, around_ratio, mean_variance, wilson

Floats = NDArray[np.float64]
FEWEST = 10  # queries on which everything is known


@dataclass(frozen=True, slots=True)
class Point:
    """One operating price, over `rows` held-out queries; money in micro-dollars per query, the rest as fractions."""

    price: float  # quality per dollar
    rows: int
    cost: float
    cost_reference: float
    saving: Interval
    quality: Interval
    quality_reference: float
    difference: Interval
    risk: Interval
    over_mix: Interval | None  # None: it costs more than the reference, so that no mix costs as much
    shares: dict[str, float]  # of the plans


@dataclass(frozen=True, slots=True)
class Ends:
    """The plans that everything is compared with, as columns of a trial."""

    reference: int
    cheapest: int  # of the plans of one sample, by what they really cost


def ends_of(trial: Trial, reference: str) -> Ends:
    """Raises `NotEnoughData` where the reference plan could not be run."""
    place = trial.plans.index(reference)
    ran = np.isfinite(trial.cost) & np.isfinite(trial.reward)
    if not ran[:, place].any():
        raise NotEnoughData(f"the reference plan {reference!r} has no labelled answer in what was collected")
    plans = trial.chooser.menu.plans
    single = [
        column
        for column, plan in enumerate(plans)
        if len(plan.stages) == 1 and plan.stages[0].max_samples == 1 and ran[:, column].any()
    ]
    means = {column: float(trial.cost[ran[:, column], column].mean()) for column in [*single, place]}
    return Ends(place, min(means, key=lambda column: (means[column], column)))


def point_at(trial: Trial, ends: Ends, price: float) -> Point:
    """The figures at `price`. Raises `NotEnoughData` for fewer than 10 queries on which all that matters is known."""
    probability = trial.probabilities(price)
    known = np.isfinite(trial.cost) & np.isfinite(trial.reward)
    use = known[:, ends.reference] & known[:, ends.cheapest] & (known | (probability == 0)).all(axis=1)
    if use.sum() < FEWEST:
        raise NotEnoughData(
            f"{int(use.sum())} queries have a label for every plan that might be drawn; {FEWEST} are needed"
        )
    shares = probability[use]
    cost, reward = np.where(known, trial.cost, 0.0)[use], np.where(known, trial.reward, 0.0)[use]
    m, g = (shares * cost).sum(axis=1), (shares * reward).sum(axis=1)
    paid, earned = cost[:, ends.reference], reward[:, ends.reference]
    lost = (shares * np.maximum(0.0, earned[:, None] - reward)).sum(axis=1)
    drawn = _drawn(shares, reward, g)
    return Point(
        price=price,
        rows=len(m),
        cost=float(m.mean()),
        cost_reference=float(paid.mean()),
        saving=_saving(m, paid, _drawn(shares, cost, m)),
        quality=_mean(g, drawn).within(0.0, 1.0),
        quality_reference=float(earned.mean()),
        difference=_mean(g - earned, drawn).within(-1.0, 1.0),
        risk=wilson(float(lost.mean()), len(m) / 2),
        over_mix=_over_mix(m, g, drawn, (cost[:, ends.cheapest], paid), (reward[:, ends.cheapest], earned)),
        shares=dict(zip(trial.plans, shares.mean(axis=0).tolist(), strict=True)),
    )


def _drawn(probability: Floats, values: Floats, mean: Floats) -> Floats:
    """The variance that the draw of the plan gives each query, (n,)."""
    return np.asarray(np.maximum(0.0, (probability * values**2).sum(axis=1) - mean**2), dtype=np.float64)


def _twice(values: Floats, drawn: Floats) -> float:
    """The variance of the difference between the mean of these queries and that of as many others."""
    count = len(values)
    return 2 * mean_variance(values, np.arange(count)) + float(drawn.mean()) / count


def _mean(values: Floats, drawn: Floats) -> Interval:
    return around(float(values.mean()), _twice(values, drawn), len(values))


def _saving(m: Floats, paid: Floats, drawn: Floats) -> Interval:
    mean = float(paid.mean())
    if mean <= 0:
        raise NotEnoughData("the reference plan costs nothing: do its backends have prices?")
    kept = float(m.mean()) / mean
    around_kept = around_ratio(kept, _twice(kept * paid - m, drawn) / mean**2, len(m))
    return Interval(1 - kept, 1 - around_kept.hi, 1 - around_kept.lo)


def _over_mix(
    m: Floats, g: Floats, drawn: Floats, costs: tuple[Floats, Floats], rewards: tuple[Floats, Floats]
) -> Interval | None:
    """Against the random mix of the cheapest plan and the reference at the cost of `m`."""
    low, high = float(costs[0].mean()), float(costs[1].mean())
    spent = float(m.mean())
    if high <= low or spent > high:
        return None
    share = max(0.0, (spent - low) / (high - low))
    # what is spent is itself an estimate: a query that costs more lets the mix earn more
    slope = float((rewards[1] - rewards[0]).mean()) / (high - low)
    level = (1 - share) * rewards[0] + share * rewards[1]
    spending = slope * (m - ((1 - share) * costs[0] + share * costs[1]))
    return _mean(g - level - (spending - spending.mean()), drawn).within(-1.0, 1.0)
