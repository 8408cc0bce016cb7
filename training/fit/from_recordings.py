"""Learn a bundle from recordings and a list of their queries: all heads, and what whole plans would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from predictors.bundle import Bundle
from predictors.bundle_files import save_bundle
from predictors.card import BundleCard
from router.config import Config
from router.recording import Recording
from training.fit.deciding import after_an_answer
from training.fit.evidence import with_belief
from training.fit.exits import fit_exits, looks_of
from training.fit.heads import fit_held_out, versioned
from training.fit.plans import with_plan_heads
from training.fit.rows import rows_of
from training.one_thread import one_thread


def fit(
    recordings: Sequence[Recording],
    query_ids: Sequence[str] | None,
    config: Config | None,
    seed: int,
    out: Path,
    *,
    created: str = "",
) -> BundleCard:
    """Fit on the named queries (None: all) and write the bundle to the folder `out`; return its card.

    With a configuration its plans are replayed by the live allocator over the recordings to fit plan heads. Raises
    `FitError` where the rows cannot be fitted.
    """
    with one_thread():
        return save_bundle(_fitted(recordings, query_ids, config, seed, created), out)


def _fitted(
    recordings: Sequence[Recording],
    query_ids: Sequence[str] | None,
    config: Config | None,
    seed: int,
    created: str,
) -> Bundle:
    """What `fit` writes."""
    recorded_as = None
    if config is not None:
        recorded_as = {name: section.recorded_as or name for name, section in config.backends.items()}
    rows = rows_of(recordings, query_ids, config.answers if config else "auto", recorded_as)
    prices = {
        name: asdict(recording.prices[source])
        for recording in recordings
        for name, source in (recorded_as or {name: name for name in recording.backends}).items()
        if source in recording.prices
    }
    fitted = fit_held_out(
        rows, seed, prices=prices, created=created, per_fold=config is not None, own_heads=judged(config)
    )
    looks = () if config is None else looks_of(config)
    exits = fit_exits(recordings, query_ids, recorded_as, seed, looks)
    if exits:
        deciding = replace(fitted.bundle.deciding, exits=exits)
        fitted = replace(fitted, bundle=versioned(replace(fitted.bundle, deciding=deciding)))
    bundle = fitted.bundle
    if config is not None:
        stops = with_belief(bundle.deciding.stops, fitted, seed)
        fitted = replace(fitted, bundle=replace(bundle, deciding=replace(bundle.deciding, stops=stops)))

        bundle = versioned(with_plan_heads(after_an_answer(fitted), recordings, config, seed))
    return bundle


def judged(config: Config | None) -> frozenset[str] | None:
    """Backends whose samples decide whether a plan goes on, or which answer wins; None: nobody says, it may be all."""
    plans = () if config is None else config.plans
    return (
        frozenset(
            stage.backend
            for plan in plans
            for place, stage in enumerate(plan.stages)
            if place + 1 < len(plan.stages) or stage.max_samples > 1
        )
        or None
    )
