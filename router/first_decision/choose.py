"""The first decision of a query: look, remove what cannot be served, forecast, ask the policy, draw."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from predictors import Look, Predictions
from predictors.observation import OnUnavailable, Query, Signals
from router.costs.worst_case import Bound
from router.domain.choice import Choice, Forecast, Situation
from router.domain.plan import Plan
from router.errors import BackendUnavailable, BudgetExceeded, NoPlan, PluginError, UnknownName
from router.first_decision.draw import draw_key, pick, unit
from router.first_decision.feasible import LATE, LATE_TEXT, OVER_BUDGET, Feasibility, Limits, within_risk
from router.first_decision.forecast import Forecaster
from router.first_decision.quality_price import QualityPrices, quality_prices_of
from router.policies import Policy

MORE_DOES_NOT_HELP = "more compute does not help such queries"
RISKY = "its expected loss is above max_risk"
COPIES = "at temperature 0 its samples would be copies"
FORECASTS = (MORE_DOES_NOT_HELP, RISKY, LATE, LATE_TEXT)  # what these reasons begin with is no fact yet
REFERENCE = "reference"  # the policy of bypass: always the reference plan


@dataclass(frozen=True, slots=True)
class Menu:
    """The plans on offer, in order, and the two that need no learning."""

    plans: tuple[Plan, ...]
    reference: Plan  # of bypass and observe
    untrained: Plan  # where nothing is known

    def named(self, name: str) -> Plan:
        """The plan of that name. Raises `UnknownName` with the choices."""
        for plan in self.plans:
            if plan.name == name:
                return plan
        raise UnknownName("plan", name, tuple(plan.name for plan in self.plans))


@dataclass(frozen=True, slots=True)
class Chosen:
    """A choice and all that it was made from."""

    choice: Choice
    forecasts: tuple[Forecast, ...]  # of the feasible plans
    look: Look
    price: float  # shadow price, the caller's cost weight applied
    infeasible: tuple[tuple[str, str], ...] = ()  # (plan, why)
    degraded: tuple[str, ...] = ()
    abstains: str = ""  # why nothing should be asked at all; "": nothing speaks against it
    unpaid: tuple[Forecast, ...] = ()  # of the plans that lack nothing but money


class PriceSource(Protocol):
    """Says what compute costs now."""

    def price(self, tenant: str = "") -> float:
        """Quality per dollar, >= 0, for a query of the tenant."""
        ...


@dataclass(frozen=True, slots=True)
class Chooser:
    """Chooses a plan for a query. Pure but for what it is given: equal arguments, equal choices."""

    menu: Menu
    policy: Policy
    policy_name: str
    predictions: Predictions
    forecaster: Forecaster
    feasibility: Feasibility
    price: float  # quality per dollar, at least
    latency_price: float  # quality per second
    seed: int
    quality_prices: QualityPrices | None = None  # None: not known what a quality costs
    prices: PriceSource | None = None  # of the budgets; None: `price` is all there is

    @property
    def name_on_record(self) -> str:
        """The policy's name; `untrained` where there is no bundle to decide by."""
        return self.policy_name if self.predictions.version or self.policy_name == REFERENCE else "untrained"

    def at_prices(self, bounds: Mapping[str, Bound]) -> Chooser:
        """The same at other prices."""
        forecaster = replace(self.forecaster, bounds=bounds)
        return replace(
            self,
            forecaster=forecaster,
            feasibility=replace(self.feasibility, forecaster=forecaster),
            quality_prices=quality_prices_of(self.predictions, self.menu.plans, forecaster),
        )

    def learned(self, plans: Sequence[Plan], predictions: Predictions) -> Chooser:
        """The same with other predictions, over the plans of the same names with their thresholds."""
        named = {plan.name: plan for plan in plans}
        menu = Menu(tuple(plans), named[self.menu.reference.name], named[self.menu.untrained.name])
        priced = quality_prices_of(predictions, plans, self.forecaster)
        return replace(self, menu=menu, predictions=predictions, quality_prices=priced)

    def choose(
        self, query: Query, limits: Limits, *, explore: bool = True, least_price: float = 0.0
    ) -> Chosen:
        """Draw a plan, at `least_price` (quality per dollar) or a higher one.

        Raises `NoPlan`, `BudgetExceeded` or `UnknownName`.
        """
        look = self.predictions.look(query)
        forecasts, infeasible, degraded, unpaid = self.feasible(query, limits, look.signals)
        price = max(self.price_for(query.tenant), least_price) * query.preferences.cost_weight
        situation = Situation(
            forecasts,
            look.signals,
            price,
            self.latency_price * query.preferences.latency_weight,
            query.constraints.min_quality,
            default_index(forecasts, self.menu),
            self._quality_price(query),
        )
        probabilities = checked(self.policy.probabilities(situation), len(forecasts), self.policy_name)
        likeliest = max(range(len(probabilities)), key=probabilities.__getitem__)
        drawn = pick(probabilities, unit(self.seed, "plan", draw_key(query))) if explore else likeliest
        choice = Choice(
            plan=forecasts[drawn].plan,
            propensity=probabilities[drawn],
            probabilities=tuple(
                (forecast.plan.name, share) for forecast, share in zip(forecasts, probabilities, strict=True)
            ),
            policy="forced" if query.constraints.plan else self.name_on_record,
            explored=probabilities[drawn] < probabilities[likeliest],
        )
        return Chosen(
            choice, forecasts, look, price, infeasible, degraded, out_of_reach(query, situation), unpaid
        )

    def price_for(self, tenant: str) -> float:
        """What compute costs the tenant now, quality per dollar: as configured, or what its budgets demand if more."""
        return self.price if self.prices is None else max(self.price, self.prices.price(tenant))

    def _quality_price(self, query: Query) -> float | None:
        target = query.constraints.min_quality
        return (
            None if target is None or self.quality_prices is None else self.quality_prices.price_for(target)
        )

    def feasible(
        self, query: Query, limits: Limits, signals: Signals
    ) -> tuple[tuple[Forecast, ...], tuple[tuple[str, str], ...], tuple[str, ...], tuple[Forecast, ...]]:
        """Forecasts of the feasible plans (at least one), why the others are not, and what had to be given up.

        The last: forecasts of the plans that lack nothing but money.
        """
        if query.constraints.plan:
            self.menu.named(query.constraints.plan)
        servable: list[Forecast] = []
        removed: list[tuple[str, str]] = []
        unpaid: list[Forecast] = []
        late: list[tuple[Forecast, str]] = []
        forecasts = self.forecaster.of(query, signals)
        objections = self.feasibility.of(query, limits)
        expects = self.policy_name != REFERENCE  # where nothing is learned no guess may change the plan
        for plan in self.menu.plans:
            unwanted = objections.unwanted(plan)
            if unwanted:  # before it is forecast: a caller that wants one plan does not wait for the others'
                removed.append((plan.name, unwanted))
                continue
            forecast = forecasts.forecast(plan)
            why = objections.objection(forecast)
            slow = (
                self.feasibility.too_slow(query, forecast, limits, signals) if expects and not why else None
            )
            if slow:
                late.append((forecast, slow))
            elif why:
                removed.append((plan.name, why))
                if why.startswith(OVER_BUDGET):
                    unpaid.append(forecast)
            else:
                servable.append(forecast)
        degraded: tuple[str, ...] = ()
        if not servable and late and query.constraints.on_unavailable is OnUnavailable.DEGRADE:
            # Lengths are forecasts: the quickest plan may make it after all, and a cut answer is better than none.
            quickest, why_late = min(late, key=lambda entry: entry[0].latency_s)
            servable, degraded = [quickest], (f"plan {quickest.plan.name!r} may be late: {why_late}",)
            late = [entry for entry in late if entry[0] is not quickest]
        infeasible = (*removed, *((forecast.plan.name, why) for forecast, why in late))
        closed = self.feasibility.switch.objections()
        degraded += tuple(why for why in closed if any(why == said for _, said in infeasible))
        if not servable and closed and all(why in closed for why in reasons(infeasible).values()):
            raise BackendUnavailable(f"no plan is left: {in_words(reasons(infeasible))}")
        if not servable:
            refuse(infeasible, [forecast.worst_cost for forecast in unpaid])
        safe = within_risk(servable, query.constraints.max_risk)
        risky = left_out(servable, safe, RISKY)
        useful = helpful(safe, signals)
        useless = left_out(safe, useful, MORE_DOES_NOT_HELP)
        unlike = self._unlike(useful) if query.sampling.temperature == 0 else useful
        alike = left_out(useful, unlike, COPIES)
        return tuple(unlike), infeasible + risky + useless + alike, degraded, tuple(unpaid)

    def _unlike(self, forecasts: list[Forecast]) -> list[Forecast]:
        """Without the plans that would count one answer several times; the two that need no learning always stay."""
        always = (self.menu.reference, self.menu.untrained)
        return [
            one
            for one in forecasts
            if one.plan in always or all(stage.max_samples == 1 for stage in one.plan.stages)
        ] or forecasts


def left_out(
    forecasts: Sequence[Forecast], kept: Sequence[Forecast], why: str
) -> tuple[tuple[str, str], ...]:
    """(plan, why) of the forecasts that were not kept."""
    if len(kept) == len(forecasts):
        return ()
    stay = {id(one) for one in kept}
    return tuple((one.plan.name, why) for one in forecasts if id(one) not in stay)


def helpful(forecasts: Sequence[Forecast], signals: Signals) -> list[Forecast]:
    """Without the plans whose further samples or stages add nothing for queries like this (`helps/<plan>` <= 0).

    A plan of one sample is never left out, and all stay where none would be left.
    """
    kept = [
        one
        for one in forecasts
        if (len(one.plan.stages) == 1 and one.plan.stages[0].max_samples == 1)
        or signals.get(f"helps/{one.plan.name}", 1.0) > 0
    ]
    return kept or list(forecasts)


def out_of_reach(query: Query, situation: Situation) -> str:
    """Why the quality target cannot be met, for a caller that would rather have nothing; "" where it can.

    Such a caller says `min_quality` and `on_unavailable = FAIL` (selective answering, Jurayj et al. 2025).
    """
    wants = query.constraints
    if wants.min_quality is None or wants.on_unavailable is not OnUnavailable.FAIL or not situation.trained:
        return ""
    best = max(one.quality or 0.0 for one in situation.forecasts)
    if best >= wants.min_quality:
        return ""
    return f"no plan is expected to reach min_quality = {wants.min_quality:g}; the best {best:.3f}"


def refuse(infeasible: Sequence[tuple[str, str]], unpaid: Sequence[int]) -> None:
    """Raise the error that fits the reasons: money where it is all that a plan lacks.

    `unpaid` are the worst costs (micro-dollars) of the plans that lack nothing else.
    """
    text = in_words(reasons(infeasible))
    if unpaid:
        raise BudgetExceeded(f"no plan can be paid for: {text}", needed_micros=min(unpaid))
    raise NoPlan(f"no plan is feasible: {text}")


def reasons(infeasible: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Plan -> why; of the others alone where the caller wants a certain plan."""
    return dict(
        [entry for entry in infeasible if not entry[1].startswith("the caller wants plan")] or infeasible
    )


def in_words(found: Mapping[str, str]) -> str:
    """`plan: why; plan: why`."""
    return "; ".join(f"{name}: {why}" for name, why in found.items())


def default_index(forecasts: Sequence[Forecast], menu: Menu) -> int:
    """Where the plan for "nothing is known" stands: the untrained one, else the reference, else the first."""
    plans = [forecast.plan for forecast in forecasts]
    for wanted in (menu.untrained, menu.reference):
        if wanted in plans:
            return plans.index(wanted)
    return 0


def checked(probabilities: Sequence[float], count: int, policy: str) -> tuple[float, ...]:
    """The policy's distribution, held against its contract. Raises `PluginError`."""
    shares = tuple(probabilities)
    if (
        len(shares) != count
        or not all(0.0 <= share <= 1.0 for share in shares)
        or abs(math.fsum(shares) - 1.0) > 1e-6
    ):
        raise PluginError(f"policy {policy!r} gave {shares}, which is no distribution over {count} plans")
    return shares
