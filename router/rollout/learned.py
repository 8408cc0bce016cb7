"""A bundle made ready to serve: loaded, held against the configuration, warmed, and what it makes of the plans.

Blocks for as long as reading takes (tenths of a second): for a thread beside the event loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from predictors import Predictions
from predictors.bundle import Bundle
from predictors.bundle_files import load_bundle
from predictors.errors import BundleError
from predictors.observation import Message, Observation, Part, Query, Sample, Tally
from router.config import Config
from router.domain.plan import Plan
from router.errors import BundleRefused, UnknownName
from router.learned_plans.known_plans import WithoutPlans, changed_plans, renamed_plans
from router.learned_plans.risk_thresholds import resolve_risks

WARM = "What is the capital of Peru, and how many people live there?"
SHARES = ("p_correct", "p_two_correct", "reward", "plan_quality")  # signals that are in [0, 1]


@dataclass(frozen=True, slots=True)
class Learned:
    """What decides, the plans with its thresholds, and in words what of the configuration it does not know."""

    predictions: Predictions
    plans: Mapping[str, Plan]
    degraded: tuple[str, ...] = ()


def learned(
    folder: Path,
    config: Config,
    plans: Mapping[str, Plan],
    check: Callable[[Path, bytes], None] | None = None,
) -> Learned:
    """Read a bundle's folder. Raises `BundleError` for one that is damaged, fitted for something else, or refused."""
    return fitted_to(load_bundle(folder, check), str(folder), config, plans)


def fitted_to(bundle: Bundle, name: str, config: Config, plans: Mapping[str, Plan]) -> Learned:
    """The bundle over this configuration's plans. Raises `BundleError` where it knows none of the backends."""
    if not set(config.backends) & set(bundle.card.backends):
        fitted, here = ", ".join(bundle.card.backends), ", ".join(config.backends)
        raise BundleError(
            f"{name}: it was fitted on the backends {fitted}; none of them is configured, only {here}"
        )
    own = resolve_risks(plans, bundle)[0]
    digests = {plan_name: plan.digest for plan_name, plan in own.items()}
    unknown = tuple(bundle.check(tuple(config.backends), digests))
    changed = changed_plans(bundle.card.plans, digests)
    renamed = renamed_plans(bundle.card.plans, digests)
    predictions = WithoutPlans(bundle, changed, renamed) if changed or renamed else bundle
    resolved, refused = resolve_risks(plans, predictions)
    return Learned(predictions, resolved, unknown + refused)


def warmed(found: Learned, name: str) -> Learned:
    """The same after a prediction of each kind. Raises `BundleError` for one that fails or is no probability."""
    query = Query("warm", (Message("user", (Part(text=WARM),)),))
    backend = next(iter(found.plans.values())).stages[0].backend
    sample = Sample("warm", backend, "Lima.", answer="Lima.", answer_class=0, tokens_in=20, tokens_out=3)
    try:
        look = found.predictions.look(query)
        said = dict(look.signals)
        said |= found.predictions.confidence(
            Observation(query, (sample,), 0, Tally((1,), ("Lima.",), 1)), look
        )
    except Exception as error:
        raise BundleError(f"{name}: it cannot predict: {type(error).__name__}: {error}") from error
    for signal, value in said.items():
        share = signal.partition("/")[0] in SHARES
        if not math.isfinite(value) or (share and not -1e-9 <= value <= 1 + 1e-9):
            raise BundleError(f"{name}: it says {signal} = {value}")
    return found


def read_to_serve(
    version: str, load: Callable[[str], Bundle], config: Config, plans: Mapping[str, Plan]
) -> Learned:
    """What `load` finds under a version, checked and warmed. Raises `BundleRefused` saying why it may not serve."""
    try:
        return warmed(fitted_to(load(version), version, config, plans), version)
    except UnknownName:
        raise
    except (BundleError, OSError) as error:
        raise BundleRefused(f"bundle {version} is refused, and what serves goes on: {error}") from error
