"""What a bundle would do with the queries of a log: at the logged price, among the plans that were feasible then."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictors.observation import Message, Part, Query
from router.config import Config
from router.configuration.problems import Problems
from router.configuration.service import build_policy, policy_name, reference_plan, untrained_plan
from router.costs.backend_terms import speeds_of
from router.costs.price_list import PriceList
from router.domain.choice import Situation
from router.domain.plan import Plan
from router.first_decision.choose import checked, helpful
from router.first_decision.forecast import Forecaster
from router.policies import Policy
from router.rollout.learned import Learned

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Wanted:
    """n queries and P plans in the menu's order; NaN: not feasible, or nothing is known of it."""

    plans: tuple[str, ...]
    digests: tuple[str, ...]
    probabilities: Floats = field(compare=False)  # (n, P); 0: not feasible
    quality: Floats = field(compare=False)  # (n, P) expected reward
    cost: Floats = field(compare=False)  # (n, P) expected dollars


@dataclass(frozen=True, slots=True)
class BundlePolicy:
    """A bundle under one configuration, at the prices of one moment."""

    learned: Learned
    policy: Policy
    name: str
    forecaster: Forecaster
    latency_price: float
    default: tuple[str, ...]  # plans for "nothing is known", the first that is feasible

    @classmethod
    def of(cls, learned: Learned, config: Config, now_s: float) -> BundlePolicy:
        """Raises `ConfigError`."""
        problems = Problems()
        policy = build_policy(config, problems)
        problems.raise_any()
        assert policy is not None  # noqa: S101 (or there was a problem)
        prices = PriceList(config)
        at = now_s if prices.changes else -math.inf
        default = (untrained_plan(config), reference_plan(config))
        return cls(
            learned, policy, policy_name(config), Forecaster(prices.bounds(at), speeds_of(config)),
            config.latency_price, default,
        )  # fmt: skip

    def wanted(
        self, texts: Sequence[str], feasible: Sequence[Sequence[str]], price: Sequence[float]
    ) -> Wanted:
        """Of n queries: their last user turns, names of the plans that were feasible, quality per dollar."""
        plans = tuple(self.learned.plans.values())
        place = {plan.name: at for at, plan in enumerate(plans)}
        shape = (len(texts), len(plans))
        chance, quality, cost = np.zeros(shape), np.full(shape, np.nan), np.full(shape, np.nan)
        for row, (text, names, worth) in enumerate(zip(texts, feasible, price, strict=True)):
            open_to = [plan for plan in plans if plan.name in names]
            if not open_to:
                continue
            for plan, share, good, dear in self._one(text, open_to, worth):
                at = place[plan.name]
                chance[row, at], cost[row, at] = share, dear
                quality[row, at] = np.nan if good is None else good
        return Wanted(tuple(place), tuple(plan.digest for plan in plans), chance, quality, cost)

    def _one(
        self, text: str, plans: Sequence[Plan], price: float
    ) -> list[tuple[Plan, float, float | None, float]]:
        query = Query("logged", (Message("user", (Part(text=text),)),))
        signals = self.learned.predictions.look(query).signals
        all_of_them = [self.forecaster.forecast(query, plan, signals) for plan in plans]
        forecasts = tuple(helpful(all_of_them, signals))
        names = [one.plan.name for one in forecasts]
        default = next((names.index(name) for name in self.default if name in names), 0)
        situation = Situation(forecasts, signals, price, self.latency_price, None, default, None)
        shares = checked(self.policy.probabilities(situation), len(forecasts), self.name)
        drawn = {id(one): share for one, share in zip(forecasts, shares, strict=True)}
        return [(one.plan, drawn.get(id(one), 0.0), one.quality, one.cost * 1e-6) for one in all_of_them]
