"""Learn from traces with snapshots when one may end before its end: one head and one risk curve per backend.

The curve's scores are held out: for each fold of the queries the head is fitted on the others. One trace of every query
is counted, so that queries are what the promise is about. Traces cut by `max_tokens` have no end and are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from predictors.exit_head import RIGHT, ExitHead, fit_exit_head
from predictors.exits import Exits, counted_losses
from router.recording import Recording
from router.recordings.text_split import split_by_text
from training.suites.early_exit.halves import features_of, written_of
from training.suites.early_exit.traces import Floats, Traces, traces_of
from training.suites.early_exit.watch import Watched, watched, watches_of

FOLDS = 5
FOLD_SEED = 104_729
LEAST_TRACES = 40


def fit_exits(
    recordings: Sequence[Recording],
    query_ids: Sequence[str] | None,
    recorded_as: Mapping[str, str] | None,
    seed: int,
) -> tuple[Exits, ...]:
    """One per backend with enough labelled traces among the named queries (None: all).

    `recorded_as`: backend -> its name in the recording; None: the same names. Of several recordings with traces of a
    backend the first with enough of them counts.
    """
    wanted = None if query_ids is None else set(query_ids)
    found: dict[str, Exits] = {}
    for recording in recordings:
        names = recorded_as or {name: name for name in recording.backends}
        for traces in traces_of(recording):
            kept = _of_queries(traces, wanted)
            for name, source in names.items():
                if source == traces.backend and name not in found and int(kept.sum()) >= LEAST_TRACES:
                    exits = _fitted(name, traces, kept, seed)
                    if exits is not None:
                        found[name] = exits
    return tuple(found.values())


def _of_queries(traces: Traces, wanted: set[str] | None) -> NDArray[np.bool_]:
    if wanted is None:
        return np.ones(len(traces), dtype=np.bool_)
    queries = traces.recording.queries
    return np.array([queries[place].query_id in wanted for place in traces.query], dtype=np.bool_)


def _fitted(name: str, traces: Traces, kept: NDArray[np.bool_], seed: int) -> Exits | None:
    one = watched(traces, next(watches_of(traces)))  # from the first snapshot on, as closely as is worth it
    features = features_of(one, written_of(traces))
    whole = _head(one, features, kept)
    if whole is None:
        return None
    texts = [query.query for query in traces.recording.queries]
    fold = split_by_text(texts, FOLDS, seed + FOLD_SEED)[traces.query]
    score = np.full(one.place.shape, np.nan)
    for part in range(FOLDS):
        head = _head(one, features, kept & (fold != part))
        looks = one.there & (kept & (fold == part))[:, None]
        if head is not None and looks.any():
            score[looks] = head.expect(features[looks], one.taken(traces.tokens, 0.0)[looks]).safe
    score[~one.answered] = np.nan
    counted = kept & (traces.draws() == 0)
    harmed = (one.reward[:, :-1] < RIGHT) & (traces.final >= RIGHT)[:, None]
    losses = counted_losses(score[counted], harmed[counted])
    return Exits(name, whole, float(traces.length[kept].mean()), int(counted.sum()), losses)


def _head(one: Watched, features: NDArray[np.float32], among: NDArray[np.bool_]) -> ExitHead | None:
    looks = one.there & among[:, None]
    owner = np.nonzero(looks)[0]
    if not len(owner):
        return None
    each: Floats = 1.0 / looks.sum(axis=1)[owner]  # every trace counts once
    tokens = one.taken(one.traces.tokens, 0.0)[looks]
    return fit_exit_head(
        features[looks],
        one.reward[:, :-1][looks],
        one.traces.final[owner],
        tokens,
        one.traces.length[owner],
        each,
        one.traces.stands[owner],
    )
