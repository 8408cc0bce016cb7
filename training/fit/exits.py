"""Learn from traces with snapshots when one may end before its end: one head per backend, and curves of its risk.

A curve's scores are held out: for each fold of the queries the head is fitted on the others. One trace of every query
is counted, so that queries are what the promise is about. Traces cut by `max_tokens` have no end and are left out.
There is a curve for looks at everything, one for the words of a conclusion, and one for the looks of every plan's rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from predictors.exit_head import RIGHT, ExitHead, fit_exit_head
from predictors.exits import Exits, Looks, LossesAt, counted_losses
from router.config import Config
from router.configuration.build_plans import build_plans
from router.domain.cues import CONCLUSIONS
from router.recording import Recording
from router.recordings.text_split import split_by_text
from router.stopping.safe_exit import SafeExit
from training.suites.early_exit.halves import features_of, written_of
from training.suites.early_exit.traces import Floats, Traces, traces_of
from training.suites.early_exit.watch import Watch, Watched, watched, watches_of

FOLDS = 5
FOLD_SEED = 104_729
LEAST_TRACES = 40


def fit_exits(
    recordings: Sequence[Recording],
    query_ids: Sequence[str] | None,
    recorded_as: Mapping[str, str] | None,
    seed: int,
    looks: Iterable[Looks] = (),
) -> tuple[Exits, ...]:
    """One per backend with enough labelled traces among the named queries (None: all).

    `looks`: where rules look for which losses are counted as well.

    `recorded_as`: backend -> its name in the recording; None: the same names. Of several recordings with traces of a
    backend the first with enough of them counts.
    """
    wanted = None if query_ids is None else set(query_ids)
    wished = tuple(dict.fromkeys(looks))
    found: dict[str, Exits] = {}
    for recording in recordings:
        names = recorded_as or {name: name for name in recording.backends}
        for traces in traces_of(recording):
            kept = _of_queries(traces, wanted)
            for name, source in names.items():
                if source == traces.backend and name not in found and int(kept.sum()) >= LEAST_TRACES:
                    exits = _fitted(name, traces, kept, seed, wished)
                    if exits is not None:
                        found[name] = exits
    return tuple(found.values())


def looks_of(config: Config) -> tuple[Looks, ...]:
    """Where the rules of its plans look for which a risk is promised."""
    rules = (stage.stop for plan in build_plans(config).values() for stage in plan.stages)
    promised = (rule for rule in rules if isinstance(rule, SafeExit) and rule.risk is not None)
    return tuple(dict.fromkeys(Looks(rule.first, rule.every, rule.cues) for rule in promised))


def _of_queries(traces: Traces, wanted: set[str] | None) -> NDArray[np.bool_]:
    if wanted is None:
        return np.ones(len(traces), dtype=np.bool_)
    queries = traces.recording.queries
    return np.array([queries[place].query_id in wanted for place in traces.query], dtype=np.bool_)


def _fitted(
    name: str, traces: Traces, kept: NDArray[np.bool_], seed: int, wished: Sequence[Looks]
) -> Exits | None:
    every = next(watches_of(traces))  # from the first snapshot on, as closely as is worth it
    one, said = watched(traces, every), written_of(traces)
    features = features_of(one, said)
    whole = _head(one, features, kept)
    if whole is None:
        return None
    texts = [query.query for query in traces.recording.queries]
    fold = split_by_text(texts, FOLDS, seed + FOLD_SEED)[traces.query]
    heads = [_head(one, features, kept & (fold != part)) for part in range(FOLDS)]
    counted = kept & (traces.draws() == 0)

    def losses(seen: Watched, told: NDArray[np.float32]) -> NDArray[np.int64]:
        score = np.full(seen.place.shape, np.nan)
        for part, head in enumerate(heads):
            looks = seen.there & (kept & (fold == part))[:, None]
            if head is not None and looks.any():
                score[looks] = head.expect(told[looks], seen.taken(traces.tokens, 0.0)[looks]).safe
        score[~seen.answered] = np.nan
        harmed = (seen.reward[:, :-1] < RIGHT) & (traces.final >= RIGHT)[:, None]
        return counted_losses(score[counted], harmed[counted])

    lists = dict.fromkeys((CONCLUSIONS, *(looks.cues for looks in wished if looks.cues)))
    at, written = [], _all_written(traces, kept)
    for looks in dict.fromkeys((*(Looks(0, int(every.every), cues) for cues in lists), *wished)):
        seen = watched(traces, Watch(looks.first, looks.every, looks.cues))
        if seen.there[counted].any() and (written or not looks.cues):
            at.append(LossesAt(looks, losses(seen, features_of(seen, said))))
    usual = float(traces.length[kept].mean())
    return Exits(name, whole, usual, int(counted.sum()), losses(one, features), tuple(at))


def _all_written(traces: Traces, kept: NDArray[np.bool_]) -> bool:
    """Whether it is known what was said at every snapshot: where texts are missing, silence says nothing."""
    rows = traces.rows[kept][traces.there[kept]]
    return all(traces.recording.value(int(row), "text") is not None for row in rows)


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
