"""Which snapshots of a trace are looked at: each look costs tokens, so a rule need not look at all of them.

Some watches look only where the text says one of the words of a conclusion, as rules with `cues` do
(`router.domain.growth`); where no text was recorded they look at nothing, and are not offered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from router.domain.cues import CONCLUSIONS, said_since
from router.recordings.cost import SNAPSHOT_TOKENS
from training.suites.early_exit.traces import NO_ROW, Floats, Traces

FIRSTS = (0.0, 0.15, 0.3, 0.5)  # quantiles of the traces' lengths
GAPS = (1, 2, 3, 4)  # in units: the median distance of snapshots, on long traces more
CUED_GAP = 3  # of watches that wait for a word; one, because of many watches the one that is taken was lucky
MOST_LOOKS = 24  # at a trace of mean length; closer looks cost more than they can tell


@dataclass(frozen=True, slots=True)
class Watch:
    """The first look at `first` tokens or later, each further one at least `every` tokens behind the one before.

    With `cues` these are check-points, and looks those of them at which one was said since the last.
    """

    first: float
    every: float
    cues: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f" at {'|'.join(self.cues)}" if self.cues else ""
        return f"from {self.first:g} every {self.every:g}{where}"


@dataclass(frozen=True, slots=True)
class Watched:
    """The n traces as they are seen under one watch: only the snapshots that are looked at, at most L' of them."""

    traces: Traces
    watch: Watch
    place: NDArray[np.int64] = field(compare=False)  # (n, L') column of `Traces`, NO_ROW behind the last
    # (n, L' + 1) tokens of stopping at each look, last: of never stopping
    spent: Floats = field(compare=False)
    reward: Floats = field(compare=False)  # (n, L' + 1)
    answer: NDArray[np.int32] = field(compare=False)  # (n, L')

    @property
    def looks(self) -> int:
        """L'."""
        return int(self.place.shape[1])

    @property
    def there(self) -> NDArray[np.bool_]:
        """(n, L')."""
        return np.asarray(self.place != NO_ROW)

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Looks with a tentative answer, (n, L'), at which alone a trace may stop; all where none was recorded."""
        given = self.answer >= 0
        return given if given.any() else self.there

    @property
    def harm(self) -> Floats:
        """What stopping at each look loses against the end, (n, L'); below 0 where the trace gets worse later."""
        return np.asarray(self.traces.final[:, None] - self.reward[:, :-1])

    def seen(self, values: NDArray[np.floating]) -> Floats:
        """A column of the recording at the looks, (n, L'), NaN behind the last."""
        return self.taken(self.traces.column(values), np.nan)

    def taken(self, values: NDArray[np.floating], behind: float) -> Floats:
        """(n, L) values of `Traces` at the looks, (n, L')."""
        found = np.take_along_axis(values, np.maximum(self.place, 0), axis=1)
        return np.where(self.there, found, behind).astype(np.float64)


def watches_of(traces: Traces) -> Iterator[Watch]:
    """A grid over where snapshots are; made of lengths, places and texts alone, never of answers or rewards."""
    gaps = np.diff(np.where(traces.there, traces.tokens, np.nan), axis=1)
    gap = float(np.nanmedian(gaps)) if np.isfinite(gaps).any() else 1.0
    gap = max(gap, float(np.floor(traces.length.mean() / MOST_LOOKS)))
    firsts = dict.fromkeys(float(np.floor(np.quantile(traces.length, at))) if at else 0.0 for at in FIRSTS)
    for first in firsts:
        for many in GAPS:
            yield Watch(first, many * gap)
    for first in firsts:
        yield Watch(first, CUED_GAP * gap, CONCLUSIONS)


def heard(traces: Traces, cues: Sequence[str]) -> NDArray[np.bool_]:
    """Where one of the cues was said since the snapshot before, (n, L)."""
    found = np.zeros(traces.rows.shape, dtype=np.bool_)
    for trace, row_of in enumerate(traces.rows):
        heard_to = 0
        for column in np.flatnonzero(row_of != NO_ROW):
            text = str(traces.recording.value(int(row_of[column]), "text") or "")
            found[trace, column] = said_since(text, heard_to, cues)
            heard_to = max(heard_to, len(text))
    return found


def all_watched(traces: Traces) -> tuple[Watched, ...]:
    """The traces under every watch of the grid that looks at something of its own."""
    said = heard(traces, CONCLUSIONS)
    several = (watched(traces, watch, said if watch.cues else None) for watch in watches_of(traces))
    return tuple(different(several))


def watched(traces: Traces, watch: Watch, said: NDArray[np.bool_] | None = None) -> Watched:
    """Walk every trace once; `said`: where its cues are `heard`, where that is known already."""
    if said is None:
        said = heard(traces, watch.cues) if watch.cues else np.ones(traces.rows.shape, dtype=np.bool_)
    n, most = traces.rows.shape
    place = np.full((n, most), NO_ROW, dtype=np.int64)
    count, due = np.zeros(n, dtype=np.int64), np.full(n, watch.first)
    waits = np.zeros(n, dtype=np.bool_)  # a cue was said, and there was no check-point since
    for column in range(most):
        tokens = traces.tokens[:, column]
        waits |= said[:, column]
        passed = traces.there[:, column] & (tokens >= due - 1e-9)
        look = passed & waits
        place[look, count[look]] = column
        count += look
        waits &= ~passed
        due = np.where(passed, tokens + watch.every, due)
    place = place[:, : max(1, int(count.max()))]
    there = place != NO_ROW
    spent = np.where(there, np.take_along_axis(traces.tokens, np.maximum(place, 0), axis=1), np.inf)
    spent = spent + SNAPSHOT_TOKENS * np.arange(1, place.shape[1] + 1)
    whole = traces.length + SNAPSHOT_TOKENS * count
    reward = np.where(there, np.take_along_axis(traces.reward, np.maximum(place, 0), axis=1), 0.0)
    answer = np.where(there, np.take_along_axis(traces.answer, np.maximum(place, 0), axis=1), -1)
    return Watched(
        traces=traces,
        watch=watch,
        place=place,
        spent=np.hstack([spent, whole[:, None]]),
        reward=np.hstack([reward, traces.final[:, None]]),
        answer=answer.astype(np.int32),
    )


def different(several: Iterable[Watched]) -> Iterator[Watched]:
    """Without those that look at nothing, or at what an earlier one looks at."""
    seen: set[bytes] = set()
    for one in several:
        key = one.place.tobytes()
        if one.there.any() and key not in seen:
            seen.add(key)
            yield one


def first_true(stops: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The look at which each trace stops, (n,) of (n, L'); L' where it never does."""
    found: NDArray[np.int64] = np.where(stops.any(axis=1), np.argmax(stops, axis=1), stops.shape[1])
    return found
