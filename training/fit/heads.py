"""Learn from rows in memory what plans need not be known for: query heads, pass rates, lengths, the sample head."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from predictors.bundle import Bundle
from predictors.bundle_files import fingerprint
from predictors.card import BundleCard
from predictors.errors import FitError
from predictors.features import FeatureSpec, Featurizer, QueryFeatures
from predictors.length_fit import fit_lengths
from predictors.pass_rate import PRIOR_RHO
from router.recordings.text_split import split_by_text
from training.fit.joint import FROM
from training.fit.one_head import SampleFit
from training.fit.query import QueryFit, fit_query_heads
from training.fit.rows import FitRows
from training.fit.samples import fit_sample_head

Floats = NDArray[np.float64]
FEWEST = 10  # labelled queries below which nothing can be held out
_FOLDS = 5
_FOLD_SEED = 7919  # folds within a fit differ from the splits of whoever asks for it with the same seed
_ACROSS_SEED = 15485863  # parts that cut across the folds: what reads held-out scores is judged on these
_NARROW_BITS = 16  # with many backends a table of 2^18 rows would not fit a processor's cache
_ENOUGH_PAIRS = 30  # queries with two samples or more


@dataclass(frozen=True, slots=True)
class Fitted:
    """A bundle without plan heads, and what was predicted of its own queries while they were held out."""

    bundle: Bundle
    rows: FitRows = field(compare=False)
    features: tuple[QueryFeatures, ...] = field(compare=False)
    folds: NDArray[np.int64] = field(compare=False)  # (n,)
    query: QueryFit = field(compare=False)
    tokens: Floats = field(compare=False)  # (n, B) expected output tokens
    samples: SampleFit = field(compare=False)


def fit_held_out(
    rows: FitRows,
    seed: int = 0,
    *,
    prices: Mapping[str, Mapping[str, float]] | None = None,
    created: str = "",
    with_samples: bool = True,
    per_fold: bool = False,
    own_heads: Collection[str] | None = None,
) -> Fitted:
    """Fit everything but plan heads.

    `with_samples=False` leaves the sample head out where only routing is asked for; `per_fold` also keeps a sample head
    without each fold. `own_heads`: backends whose samples will be judged; only these may get a sample head of their own
    (None: all). Raises `FitError` for fewer than `FEWEST` labelled queries. Equal arguments give equal bundles, bit for
    bit.
    """
    labelled = int(np.isfinite(rows.reward).any(axis=1).sum())
    if labelled < FEWEST:
        how = "" if labelled else "; `apportion grade` gives rewards"
        raise FitError(
            f"{labelled} of {len(rows.texts)} queries have a reward; at least {FEWEST} are needed{how}"
        )
    spec = FeatureSpec(bits=FeatureSpec().bits if len(rows.backends) < FROM else _NARROW_BITS)
    featurizer = Featurizer(spec)
    features = tuple(featurizer.of_text(text) for text in rows.texts)
    folds = split_by_text(rows.texts, _FOLDS, seed + _FOLD_SEED)
    pairs = gain_pairs(rows)
    across = split_by_text(rows.texts, _FOLDS, seed + _ACROSS_SEED)
    query = fit_query_heads(rows, features, featurizer, pairs, folds, across, seed)
    count = len(rows.backends)
    shared = query.heads.joint is not None  # trees over lengths, too: their logs are among the numbers
    lengths = fit_lengths(query.x, rows.tokens, rows.cut, across, seed, with_trees=not shared)
    rho, from_prior = pass_rate_correlation(rows, query.held_out[:, :count])
    samples = SampleFit(None, {})
    if with_samples:
        right = query.held_out[:, :count]
        samples = fit_sample_head(
            rows, right, lengths.expected, folds, seed, per_fold=per_fold, own=own_heads
        )
    card = BundleCard(
        version="",
        created=created,
        features=spec.fingerprint,
        spec=asdict(spec),
        backends=rows.backends,
        pairs=tuple(pairs),
        prices=dict(prices or {}),
        counts=dict(rows.counts),
        metrics=query.metrics | samples.metrics,
        rho_from_prior=from_prior,
        own_sample_heads=() if samples.head is None else tuple(samples.head.own),
        seed=seed,
    )
    bundle = versioned(Bundle(card, featurizer, query.heads, rho, lengths.lengths, samples.head))
    return Fitted(bundle, rows, features, folds, query, lengths.expected, samples)


def versioned(bundle: Bundle) -> Bundle:
    """The bundle under the version that its numbers give it."""
    return replace(bundle, card=replace(bundle.card, version=fingerprint(bundle)))


def gain_pairs(rows: FitRows) -> list[tuple[str, str]]:
    """Pairs with a gain head: all of up to four backends; more share their trees and need none."""
    names = rows.backends
    if len(names) >= FROM:
        return []
    return [(one, other) for place, other in enumerate(names) for one in names[place + 1 :]]


def pass_rate_correlation(rows: FitRows, right: Floats) -> tuple[Floats, tuple[str, ...]]:
    """Per backend rho = E[m2 - m1^2] / E[m1 - m1^2] at held-out m1 (n, B), and the backends where it is a prior.

    Pairs of samples say what is left of a query's own difficulty once its features are known.
    """
    rho = np.full(right.shape[1], PRIOR_RHO)
    prior = []
    for place, name in enumerate(rows.backends):
        known = np.isfinite(rows.both[:, place])
        m1, m2 = right[known, place], rows.both[known, place]
        room = float(np.sum(m1 - m1 * m1))
        if known.sum() < _ENOUGH_PAIRS or room <= 0:
            prior.append(name)
        else:
            rho[place] = min(0.999, max(0.001, float(np.sum(m2 - m1 * m1)) / room))
    return rho, tuple(prior)
