"""What would you have saved? Before anything is served: bundles fitted on some labelled queries, tried on the others.

The labelled queries are cut into five parts by their text. For each part a bundle is fitted on the other four, and all
plans are run on the part by the live allocator; together they give the table of operating prices (`figures`).
Fitted on an eighth, a quarter and half of the others as well, they give the learning curve: the gain over the random
mix at equal cost, against the number of labelled queries. Large recordings are bounded: see `MOST_TRIED`.

When it fails: what is tried is not the bundle that is written but its likes, fitted on a fifth less; with fewer than
some fifty labelled queries the parts are too small to say anything, and the intervals show it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from predictors.bundle_files import load_bundle
from predictors.errors import FitError
from router.config import Config
from router.configuration.service import reference_plan
from router.recording import Recording
from router.recordings.text_split import split_by_text
from training.errors import NotEnoughData
from training.fit.from_recordings import fit
from training.fit.rows import FitRows, rows_of
from training.outlook.figures import Ends, Point, ends_of, point_at
from training.outlook.trial import Trial, joined, try_plans

PARTS = 5
CURVE = (0.125, 0.25, 0.5)  # of the queries that a bundle could be fitted on
TARGETS = (0.2, 0.4, 0.6, 0.8)  # of the largest saving: where the operating prices are
MIDDLE = 0.5  # of the largest saving: where the learning curve is measured
MOST_TRIED = 1000  # queries; of more, one part of so many is tried, with a bundle fitted on at most
MOST_FITTED = 3000  # others
FEWEST_FITTED = 20  # labelled queries of the first point of the curve
_FOLD_SEED = 104_729  # parts differ from the folds within a fit
_STEPS = 60  # of the search for a price
_HIGHEST = 1e12  # quality per dollar: at it nothing but cost matters

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Learned:
    """One point of the learning curve: the price that saves half of what can be saved."""

    labelled: int  # queries that the bundles were fitted on
    point: Point


@dataclass(frozen=True, slots=True)
class Outlook:
    """Everything that is said before anything is served."""

    reference: str
    cheapest: str
    labelled: int  # queries with a label
    fitted_on: int  # by each of the bundles that were tried
    points: tuple[Point, ...]  # by price
    configured: float  # the price in the configuration; 0: none
    curve: tuple[Learned, ...]  # by number of labels; empty: not measured
    agreement: bool = False  # labels say who agrees with a backend, not who is right


def outlook(
    recordings: Sequence[Recording],
    query_ids: Sequence[str] | None,
    config: Config,
    seed: int,
    *,
    curve: bool | None = None,
    parts: int = PARTS,
    progress: Progress = lambda what, share: None,
) -> Outlook:
    """Try bundles on queries that they were not fitted on. `curve` None: up to `MOST_TRIED` labelled queries.
    `parts` >= 2: that the queries are cut into.

    Raises `NotEnoughData` with the reason where there is nothing to say.
    """
    sources = {name: section.recorded_as or name for name, section in config.backends.items()}
    rows = rows_of(recordings, query_ids, config.answers, sources)
    rows = rows.taken(np.flatnonzero(np.isfinite(rows.reward).any(axis=1)))
    if len({query_id for _, query_id in rows.ids}) < len(rows.ids):
        raise NotEnoughData("recordings share query ids, so that none can be held out")
    bench = _Bench(recordings, rows, config, seed)
    splits = _splits(rows, seed, parts)
    wanted = curve if curve is not None else len(rows.texts) <= MOST_TRIED
    sizes = [size for size in CURVE if wanted and size * len(splits[0][0]) >= FEWEST_FITTED]
    trials: list[tuple[int, Trial]] = []
    for number, size in enumerate((*sizes, 1.0)):
        progress(f"bundles of {size:.0%} of the labels", number / (len(sizes) + 1))
        trials.append(bench.tried(splits, size))
    fitted_on, trial = trials[-1]
    ends = ends_of(trial, reference_plan(config))
    found = [price_of(trial, ends, target) for target in TARGETS]
    prices = {_rounded(price) for price in found if price is not None}
    if config.price > 0:
        prices.add(config.price)
    if not prices:
        raise NotEnoughData(
            f"nothing is expected to be cheaper than {reference_plan(config)!r} and of known quality"
        )
    return Outlook(
        reference=trial.plans[ends.reference],
        cheapest=trial.plans[ends.cheapest],
        labelled=len(rows.texts),
        fitted_on=fitted_on,
        points=tuple(point_at(trial, ends, price) for price in sorted(prices)),
        configured=config.price,
        curve=tuple(_learned(trials, ends)) if wanted else (),
        agreement=any(measures_agreement(recording) for recording in recordings),
    )


def measures_agreement(recording: Recording) -> bool:
    """Whether labels of the recording are `agrees`'s: whoever answers as the reference backend does is right."""
    graders = recording.meta.extra.get("graders")  # whatever others wrote there
    named = graders.values() if isinstance(graders, Mapping) else ()
    return any(str(text).partition(":")[0] == "agrees" for text in named)


def price_of(trial: Trial, ends: Ends, target: float) -> float | None:
    """The price at which the forecasts save `target` of what they can save at most; None: they cannot save anything.

    Expected cost falls in steps as the price rises; this is a step's edge, found by halving on a logarithmic scale.
    """
    reference = float(np.nanmean(trial.forecast[:, ends.reference]))
    least = trial.forecast_cost(_HIGHEST)
    if not (np.isfinite(least) and np.isfinite(reference) and least < reference):
        return None
    wanted = reference - target * (reference - least)
    low, high = 1e-6, _HIGHEST
    if trial.forecast_cost(0.0) <= wanted:
        return 0.0
    for _ in range(_STEPS):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if trial.forecast_cost(middle) <= wanted else (middle, high)
    return high


def _learned(trials: Sequence[tuple[int, Trial]], ends: Ends) -> list[Learned]:
    found = []
    for labelled, trial in trials:
        price = price_of(trial, ends, MIDDLE)
        if price is not None:
            found.append(Learned(labelled, point_at(trial, ends, price)))
    return found


def _rounded(price: float) -> float:
    """Two digits: what a person writes down. At the edge of a step the higher price is the one that was meant."""
    return float(f"{price * 1.005:.2g}")


@dataclass(frozen=True, slots=True)
class _Bench:
    """Fits bundles on parts of the rows and tries them on others."""

    recordings: Sequence[Recording]
    rows: FitRows
    config: Config
    seed: int

    def tried(
        self, splits: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]], size: float
    ) -> tuple[int, Trial]:
        """How many queries each bundle was fitted on (the mean), and all parts' trials as one."""
        parts, used = [], []
        for train, test in splits:
            some = train[: max(1, round(size * len(train)))]
            parts.append(self._part(np.sort(some), test))
            used.append(len(some))
        return round(float(np.mean(used))), joined(parts)

    def _part(self, train: NDArray[np.int64], test: NDArray[np.int64]) -> Trial:
        """Fit as `apportion fit` does, write and read the bundle as it would be served, and try it."""
        ids = [self.rows.ids[place][1] for place in train]
        with tempfile.TemporaryDirectory(prefix="apportion-outlook-") as folder:
            try:
                fit(self.recordings, ids, self.config, self.seed, Path(folder) / "bundle")
            except FitError as error:
                raise NotEnoughData(f"too few labels to hold some out: {error}") from error
            bundle = load_bundle(Path(folder) / "bundle")
        return try_plans(self.config, self.recordings, [self.rows.ids[place] for place in test], bundle)


def _splits(rows: FitRows, seed: int, count: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(train in a random order, test) of every part."""
    rng = np.random.default_rng([seed, _FOLD_SEED])
    parts = split_by_text(rows.texts, count, seed + _FOLD_SEED)
    found = []
    for part in range(count):
        train, test = np.flatnonzero(parts != part), np.flatnonzero(parts == part)
        if len(train) and len(test):
            found.append((rng.permutation(train), test))
    if len(found) < 2:
        raise NotEnoughData(f"{len(rows.texts)} labelled queries cannot be cut into parts")
    if len(rows.texts) <= MOST_TRIED:
        return found
    train, test = found[0]
    return [(train[:MOST_FITTED], np.sort(rng.permutation(test)[:MOST_TRIED]))]
