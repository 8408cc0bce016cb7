"""What the subjects of one backend know: its traces under every watch, and per half what was learned from labels.

A split's tuning half is cut into folds by query: what is expected of its own traces comes from the others, what is
expected of the measured half from all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from predictors.exit_features import NAMES, TraceLook, exit_features
from predictors.exit_head import ExitHead, fit_exit_head
from predictors.exit_text import NOTHING, Written, written
from training.suites.early_exit.traces import TUNING, Floats, Places, Traces
from training.suites.early_exit.watch import Watch, Watched, all_watched

FOLDS = 4
MOST_LOOKS = 12_000  # of one fit; of more a seeded choice of traces is learned from
LEARNED_FROM = (1, 3)  # the head learns from looks at every so many snapshots, from the first on


@dataclass(frozen=True, slots=True)
class Known:
    """Everything but the labels' use."""

    traces: Traces
    seed: int
    watched: tuple[Watched, ...]
    features: tuple[NDArray[np.float32], ...] = field(compare=False)  # per watch (n, L', d)

    def seeing(self, extra: Floats) -> Known:
        """The same with further features, (n, L, k) at the snapshots."""
        wider = []
        for one, features in zip(self.watched, self.features, strict=True):
            at_looks = np.take_along_axis(extra, np.maximum(one.place, 0)[:, :, None], axis=1)
            told = np.where(one.there[:, :, None], at_looks, 0.0).astype(np.float32)
            wider.append(np.concatenate([features, told], axis=2))
        return replace(self, features=tuple(wider))

    @classmethod
    def of(cls, traces: Traces, seed: int) -> Known:
        """Walk the traces under every watch of the grid."""
        found = all_watched(traces)
        said = written_of(traces)
        return cls(traces, seed, found, tuple(features_of(one, said) for one in found))


@dataclass(frozen=True, slots=True)
class Half:
    """One split: who tunes, and what is expected at every look (NaN where a trace has none)."""

    number: int
    tuning: NDArray[np.bool_] = field(compare=False)  # (n,)
    # per watch (n, L'): P(stopping here loses nothing), if it may
    safe: tuple[Floats, ...] = field(compare=False)
    right: tuple[Floats, ...] = field(compare=False)  # per watch (n, L'): P(the tentative answer is right)
    gain: tuple[Floats, ...] = field(compare=False)  # per watch (n, L'): E[reward at the end - reward now]
    left: tuple[Floats, ...] = field(compare=False)  # per watch (n, L'): expected further tokens to the end

    @property
    def measured(self) -> Places:
        """Places of the traces that are measured."""
        return np.flatnonzero(~self.tuning)


def half_of(known: Known, number: int) -> Half | None:
    """None where a half is empty, or its tuning half has nothing to learn from."""
    traces = known.traces
    tuning = traces.halves(number, known.seed) == TUNING
    if not tuning.any() or tuning.all():
        return None
    rng = np.random.default_rng([known.seed, number])
    fold_of_query = rng.integers(FOLDS, size=len(traces.recording.queries))
    fold = np.where(tuning, fold_of_query[traces.query], FOLDS)
    names = ("safe", "right", "gain", "left")
    found = {name: [np.full(one.place.shape, np.nan) for one in known.watched] for name in names}
    for part in range(FOLDS + 1):
        head = learned(known, tuning & (fold != part))
        if head is None:
            return None
        mine = fold == part
        for place, one in enumerate(known.watched):
            looks = one.there & mine[:, None]
            told = head.expect(known.features[place][looks], one.taken(one.traces.tokens, 0.0)[looks])
            for name in names:
                found[name][place][looks] = getattr(told, name)
    for place, one in enumerate(known.watched):
        found["safe"][place][~one.answered] = np.nan
    return Half(number, tuning, *(tuple(found[name]) for name in names))


def learned(known: Known, among: NDArray[np.bool_]) -> ExitHead | None:
    """The head fitted on the traces `among`."""
    looks_each = sum(
        one.there.sum(axis=1) for one in known.watched if used_to_learn(one.watch, known.watched[0].watch)
    )
    total = float(np.sum(looks_each * among))
    if total > MOST_LOOKS:
        chance = np.random.default_rng([known.seed, 1]).random(len(among))
        among = among & (chance < MOST_LOOKS / total)
    rows, now, end, tokens, length, weight, stands = [], [], [], [], [], [], []
    for place, one in enumerate(known.watched):
        if not used_to_learn(one.watch, known.watched[0].watch):
            continue
        looks = one.there & among[:, None]
        owner = np.nonzero(looks)[0]
        rows.append(known.features[place][looks])
        now.append(one.reward[:, :-1][looks])
        end.append(known.traces.final[owner])
        tokens.append(one.taken(one.traces.tokens, 0.0)[looks])
        length.append(known.traces.length[owner])
        weight.append(1.0 / looks.sum(axis=1)[owner])  # every trace counts once
        stands.append(known.traces.stands[owner])
    return fit_exit_head(
        np.concatenate(rows), np.concatenate(now), np.concatenate(end), np.concatenate(tokens),
        np.concatenate(length), np.concatenate(weight), np.concatenate(stands),
    )  # fmt: skip


def used_to_learn(watch: Watch, first: Watch) -> bool:
    """`LEARNED_FROM`, whatever is said there; `first`: the watch that looks at everything."""
    return not watch.cues and watch.first == 0 and round(watch.every / max(first.every, 1e-9)) in LEARNED_FROM


def written_of(traces: Traces) -> Floats:
    """Where the tentative answers stand in the texts (`predictors.exit_text`), (n, L, 3)."""
    found = np.zeros((*traces.rows.shape, len(NOTHING)))
    for place in np.argwhere(traces.there):
        row = int(traces.rows[tuple(place)])
        text, answer = (traces.recording.value(row, name) for name in ("text", "answer"))
        found[tuple(place)] = written(str(text or ""), None if answer is None else str(answer))
    return found


def features_of(one: Watched, said: Floats) -> NDArray[np.float32]:
    """The features at every look, (n, L', d), 0 behind the last; `said`: `written_of` the traces."""
    seen = one.traces.recording.columns
    columns = [one.seen(values) for values in (seen.confidence, seen.mean_logprob, seen.first_entropy)]
    tokens = one.taken(one.traces.tokens, 0.0)
    found = np.zeros((*one.place.shape, len(NAMES)), dtype=np.float32)
    for trace in range(len(one.traces)):
        looks: list[TraceLook] = []
        for look in range(int(one.there[trace].sum())):
            answer = int(one.answer[trace, look])
            sure, logprob, entropy = (
                None if np.isnan(column[trace, look]) else float(column[trace, look]) for column in columns
            )
            text = Written(*said[trace, one.place[trace, look]].tolist())
            spent = int(tokens[trace, look])
            looks.append(TraceLook(spent, None if answer < 0 else answer, sure, logprob, entropy, text))
            found[trace, look] = exit_features(looks)
    return found
