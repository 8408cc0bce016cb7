"""Predicted intervals hold what the next week realises, in worlds whose truth is known."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from training.report.intervals import mean_variance, wilson
from training.report.prediction import Observed, Runs, Worth, predict_money, predict_worth

PLANS = ("small", "vote", "large")
LARGE = 2
REPETITIONS = 200
LEAST = 0.90  # of the repetitions; the nominal 95 % less what 200 draws may miss


@dataclass(frozen=True)
class World:
    """Queries of random difficulty; what each plan costs (micro-dollars) and gives is known exactly."""

    rng: np.random.Generator
    bias: tuple[float, float, float] = (1.0, 1.0, 1.0)  # real cost over forecast, per plan
    noise: float = 0.5  # sd of the logarithm of one answer's length around its expectation
    temperature: float = 0.1  # of the policy; small: it always takes the best
    per_session: int = 1  # queries that share one draw

    def week(self, count: int) -> tuple[Observed, Realised]:
        """`count` queries, observed; and what `apply` makes of the same number of other queries."""
        return self.observed(count), self.realised(count)

    def queries(self, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(quality, forecast, probability), each (count, 3)."""
        easy = self.rng.beta(1.0, 1.0, count)
        quality = np.stack([0.9 * easy**1.5, 0.95 * easy, 0.3 + 0.65 * easy**0.7], axis=1)
        length = self.rng.lognormal(0.0, 0.6, count)
        forecast = np.stack([20 * length, 90 * length, 300 * length], axis=1)
        logits = (quality - 0.0008 * forecast) / self.temperature
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return quality, forecast, odds / odds.sum(axis=1, keepdims=True)

    def costs(self, forecast: np.ndarray, plan: np.ndarray) -> np.ndarray:
        """Real costs of running `plan` (n,)."""
        rows = np.arange(len(plan))
        drawn = self.rng.lognormal(-(self.noise**2) / 2, self.noise, len(plan))
        cost: np.ndarray = forecast[rows, plan] * np.array(self.bias)[plan] * drawn
        return cost

    def drawn(self, probability: np.ndarray) -> np.ndarray:
        """The plan of each query; sessions share one number."""
        u = np.repeat(self.rng.random(math.ceil(len(probability) / self.per_session)), self.per_session)
        plan: np.ndarray = (u[: len(probability), None] > probability.cumsum(axis=1)[:, :-1]).sum(axis=1)
        return plan

    def observed(self, count: int) -> Observed:
        quality, forecast, probability = self.queries(count)
        cost = self.costs(forecast, np.full(count, LARGE))
        session = np.arange(count) // self.per_session
        return Observed(PLANS, LARGE, cost, probability, forecast, quality, session)

    def realised(self, count: int) -> Realised:
        quality, forecast, probability = self.queries(count)
        plan, rows = self.drawn(probability), np.arange(count)
        cost, reference = self.costs(forecast, plan), self.costs(forecast, np.full(count, LARGE))
        right = self.rng.random(count) < quality[rows, plan]
        right_reference = self.rng.random(count) < quality[:, LARGE]
        return Realised(
            cost=float(cost.mean()),
            saving=1 - float(cost.sum() / reference.sum()),
            reward=float(right.mean()),
            difference=float(right.mean() - right_reference.mean()),
        )

    def shadows(self, seen: Observed, share: float) -> Runs:
        """Shadow runs of a share of the observed queries."""
        plan = self.drawn(seen.probability)
        chosen = (self.rng.random(len(plan)) < share) & (plan != LARGE)
        forecast = seen.forecast[np.arange(len(plan)), plan]
        return Runs(plan[chosen], self.costs(seen.forecast, plan)[chosen], forecast[chosen])


@dataclass(frozen=True)
class Realised:
    cost: float
    saving: float
    reward: float
    difference: float


def worth_of(seen: Observed, labelled: float = math.inf) -> Worth:
    found = predict_worth(seen, labelled)
    assert found is not None
    return found


def covered(make, count: int = 400, share: float = 0.0, repetitions: int = REPETITIONS):
    """The share of repetitions in which each interval held what was realised, and their mean widths."""
    held = np.zeros((repetitions, 4))
    width = np.zeros((repetitions, 4))
    truth = np.zeros((repetitions, 4))
    for number in range(repetitions):
        world = make(np.random.default_rng([7, number]))
        seen, next_week = world.week(count)
        money = predict_money(seen, world.shadows(seen, share) if share else None)
        worth = worth_of(seen)
        intervals = (money.apply, money.saving, worth.apply, worth.difference)
        found = (next_week.cost, next_week.saving, next_week.reward, next_week.difference)
        held[number] = [each.lo <= value <= each.hi for each, value in zip(intervals, found, strict=True)]
        width[number] = [each.hi - each.lo for each in intervals]
        truth[number] = found
    return held.mean(axis=0), width.mean(axis=0), truth.std(axis=0)


WORLDS = {
    "forecasts are right": (World, 0.0),
    "few queries": (World, 0.0),
    "the policy never explores": (lambda rng: World(rng, temperature=1e-4), 0.0),
    "answers vary wildly in length": (lambda rng: World(rng, noise=1.2), 0.0),
    "sessions share their draw": (lambda rng: World(rng, per_session=8), 0.0),
    "everything costs a quarter more than forecast": (lambda rng: World(rng, bias=(1.25, 1.25, 1.25)), 0.0),
    "forecasts of the plans that never ran are wrong, shadow runs show it": (
        lambda rng: World(rng, bias=(2.0, 0.6, 1.0)),
        0.3,
    ),
}


@pytest.mark.parametrize("name", WORLDS)
def test_each_interval_holds_what_the_next_week_realises(name):
    make, share = WORLDS[name]
    count = 60 if name == "few queries" else 400
    held, _, _ = covered(make, count, share)
    assert (held >= LEAST).all(), held


def test_the_intervals_are_no_wider_than_they_have_to_be():
    """Two independent weeks differ by √2 times what one week's figure scatters."""
    _, width, scatter = covered(World)
    assert (width < 1.25 * 2 * 1.96 * math.sqrt(2) * scatter).all(), width / scatter


def test_an_interval_for_the_mean_alone_would_not_hold_the_week():
    """The realised week has noise of its own: half of the variance is not enough."""
    held = 0
    for number in range(REPETITIONS):
        world = World(np.random.default_rng([8, number]))
        seen, next_week = world.week(400)
        gain = (seen.probability * seen.quality).sum(axis=1) - seen.quality[:, LARGE]
        half = 1.96 * math.sqrt(mean_variance(gain, seen.session))
        held += abs(gain.mean() - next_week.difference) <= half
    assert held / REPETITIONS < 0.7


def test_few_labelled_queries_make_the_intervals_wider():
    seen = World(np.random.default_rng(1)).observed(400)
    money, worth = predict_money(seen), worth_of(seen)
    wide_money, wide_worth = predict_money(seen, labelled=100), worth_of(seen, labelled=100)
    assert wide_money.saving.hi - wide_money.saving.lo > money.saving.hi - money.saving.lo
    assert wide_worth.difference.hi - wide_worth.difference.lo > worth.difference.hi - worth.difference.lo
    assert (wide_money.saving.mean, wide_worth.difference.mean) == (money.saving.mean, worth.difference.mean)


def test_a_fit_on_few_queries_is_covered_when_the_report_is_told():
    """Forecasts whose level was estimated from 150 labelled queries, used for a week of 1,500."""
    held = np.zeros(2)
    for number in range(REPETITIONS):
        world = World(np.random.default_rng([9, number]))
        truth, _, _ = world.queries(150)
        labels = world.rng.random(truth.shape) < truth
        seen, next_week = world.week(1500)
        wrong = np.clip(seen.quality + labels.mean(axis=0) - truth.mean(axis=0), 0, 1)
        fitted = replace(seen, quality=wrong)
        for place, labelled in enumerate((math.inf, 150)):
            interval = worth_of(fitted, labelled).difference
            held[place] += interval.lo <= next_week.difference <= interval.hi
    untold, told = held / REPETITIONS
    assert told >= LEAST
    assert untold < 0.85


def test_a_policy_that_always_keeps_the_reference_saves_nothing():
    seen = World(np.random.default_rng(2)).observed(300)
    always = np.zeros_like(seen.probability)
    always[:, LARGE] = 1.0
    money, worth = (
        predict_money(replace(seen, probability=always)),
        worth_of(replace(seen, probability=always)),
    )
    assert money.saving.mean == pytest.approx(0.0, abs=1e-12)
    assert money.saving.lo < 0 < money.saving.hi
    assert worth.difference.mean == 0.0


def test_the_references_forecast_is_corrected_by_what_it_really_cost():
    seen = World(np.random.default_rng(3), bias=(1.0, 1.0, 1.25)).observed(5000)
    assert predict_money(seen).ratios["large"].real_over_forecast == pytest.approx(1.25, rel=0.05)


def test_a_plan_that_never_ran_is_trusted_as_far_as_the_references_forecast_was_right():
    seen = World(np.random.default_rng(4)).observed(2000)
    right, wrong = predict_money(seen), predict_money(replace(seen, cost=1.5 * seen.cost))
    assert wrong.ratios["small"].runs == 0
    assert (wrong.apply.hi - wrong.apply.lo) > 2 * (right.apply.hi - right.apply.lo)


def test_a_few_shadow_runs_correct_nothing_yet():
    seen = World(np.random.default_rng(5)).observed(200)
    plan = np.zeros(19, dtype=np.int64)
    runs = Runs(plan, np.full(19, 40.0), np.full(19, 20.0))
    assert predict_money(seen, runs).ratios["small"].real_over_forecast == 1.0
    more = Runs(np.zeros(20, dtype=np.int64), np.full(20, 40.0), np.full(20, 20.0))
    assert predict_money(seen, more).ratios["small"].real_over_forecast == 2.0


def test_queries_of_unknown_quality_are_left_out_of_quality_alone():
    seen = World(np.random.default_rng(6)).observed(100)
    quality = seen.quality.copy()
    quality[:40, 0] = np.nan
    worth = worth_of(replace(seen, quality=quality))
    assert worth.rows == 60
    assert predict_worth(replace(seen, quality=np.full_like(quality, np.nan))) is None


def test_an_unknown_quality_of_a_plan_that_is_never_drawn_does_not_matter():
    seen = World(np.random.default_rng(6)).observed(100)
    probability = np.tile([0.0, 0.5, 0.5], (100, 1))
    quality = seen.quality.copy()
    quality[:, 0] = np.nan
    assert worth_of(replace(seen, quality=quality, probability=probability)).rows == 100


def test_one_session_says_nothing_about_another():
    seen = World(np.random.default_rng(6)).observed(50)
    money = predict_money(replace(seen, session=np.zeros(50, dtype=np.int64)))
    assert (money.saving.lo, money.saving.hi, money.apply.hi) == (-math.inf, 1.0, math.inf)


def test_wilsons_interval_is_that_of_the_textbook():
    """Newcombe 1998, table I: 81 of 263."""
    found = wilson(81 / 263, 263)
    assert found.lo == pytest.approx(0.2553, abs=5e-5)
    assert found.hi == pytest.approx(0.3662, abs=5e-5)


def test_wilsons_interval_stays_inside_at_the_ends():
    assert wilson(0.0, 5).lo == pytest.approx(0.0, abs=1e-12)
    assert wilson(1.0, 5).hi == pytest.approx(1.0, abs=1e-12)
    assert wilson(0.0, 5).hi > 0.3


def test_rows_of_one_group_count_as_one():
    values = np.array([0.0, 0.0, 1.0, 1.0])
    apart, together = np.arange(4), np.array([0, 0, 1, 1])
    assert mean_variance(values, together) == pytest.approx(0.25)
    assert mean_variance(values, apart) == pytest.approx(np.var(values, ddof=1) / 4)


def test_the_same_week_played_again_under_apply_is_within_the_intervals():
    """Its queries and the reference's answers are those that were observed: less is left to chance."""
    held = np.zeros(3)
    for number in range(REPETITIONS):
        world = World(np.random.default_rng([11, number]))
        seen = world.observed(300)
        plan, right = world.drawn(seen.probability), world.rng.random((300, 3)) < seen.quality
        same = plan == LARGE
        cost = np.where(same, seen.cost, world.costs(seen.forecast, plan))
        gain = right[np.arange(300), plan].mean() - right[:, LARGE].mean()
        money, worth = predict_money(seen), worth_of(seen)
        pairs = (
            (money.saving, 1 - cost.sum() / seen.cost.sum()),
            (money.apply, cost.mean()),
            (worth.difference, gain),
        )
        held += [interval.lo <= value <= interval.hi for interval, value in pairs]
    assert (held / REPETITIONS >= LEAST).all()
