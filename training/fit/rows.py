"""The rows that a fit reads: queries, and per backend their mean reward, pairs of right draws, tokens and samples.

Made from a recording for the queries that are named and no others; `task` and `gold` are not read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictors.errors import FitError
from predictors.hidden_pieces import made_of
from predictors.observation import Sample
from router.answers import extract
from router.recording import Recording
from router.recordings.hidden import HiddenColumn

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LabelledSample:
    """One sample of one query with its reward; the answer is extracted as the allocator would."""

    query: int  # index into FitRows.texts
    sample: Sample
    reward: float  # [0, 1]


@dataclass(frozen=True, slots=True)
class FitRows:
    """n queries of B backends. NaN: not known."""

    texts: tuple[str, ...]
    backends: tuple[str, ...]
    reward: Floats = field(compare=False)  # (n, B) mean reward of the labelled samples
    both: Floats = field(compare=False)  # (n, B) P(two different samples are both right), unbiased
    tokens: Floats = field(compare=False)  # (n, B) mean output tokens
    cut: NDArray[np.bool_] = field(compare=False)  # (n, B) a token limit cut more than half of the samples
    samples: tuple[LabelledSample, ...] = field(
        default=(), compare=False, repr=False
    )  # labelled ones, in order of draws
    counts: Mapping[str, float] = field(default_factory=dict, compare=False)
    ids: tuple[tuple[int, str], ...] = ()  # (recording, query id) of every query
    answer_kind: str = "auto"  # how equal answers are recognised

    def taken(self, places: Sequence[int] | NDArray[np.int64]) -> FitRows:
        """The rows of these queries only."""
        keep = np.asarray(places, dtype=np.int64)
        moved = {int(old): new for new, old in enumerate(keep)}
        samples = tuple(
            LabelledSample(moved[row.query], row.sample, row.reward)
            for row in self.samples
            if row.query in moved
        )
        return FitRows(
            tuple(self.texts[place] for place in keep),
            self.backends,
            self.reward[keep],
            self.both[keep],
            self.tokens[keep],
            self.cut[keep],
            samples,
            {"queries": float(len(keep)), "samples": float(len(samples))},
            tuple(self.ids[place] for place in keep) if self.ids else (),
            self.answer_kind,
        )


def mostly_cut(cut: Iterable[bool]) -> bool:
    """Whether a limit cut so many of a query's samples that their mean length says only "at least".

    A few of many cut it short by little. To leave such queries out, and weigh others for them, takes most of them.
    """
    all_of_them = list(cut)
    return 2 * sum(all_of_them) > len(all_of_them)


def rows_of(
    recordings: Sequence[Recording],
    query_ids: Sequence[str] | None = None,
    answer_kind: str = "auto",
    recorded_as: Mapping[str, str] | None = None,
    *,
    with_samples: bool = True,
) -> FitRows:
    """Rows of the named queries (None: all) of one or several recordings, whose backends are told apart by name.

    `recorded_as`: the backends to fit -> their names in the recordings; None: all, as they are. Rewards that are null
    are skipped and counted. `with_samples=False` leaves single samples out, most of the memory and the time, where only
    queries are learned from. Raises `FitError` for an id that no recording has, for no query and for no backend.
    """
    recorded = tuple(dict.fromkeys(name for recording in recordings for name in recording.backends))
    sources = dict(zip(recorded, recorded, strict=True)) if recorded_as is None else recorded_as
    backends = tuple(name for name, source in sources.items() if source in recorded)
    if not backends:
        raise FitError(
            f"none of the backends {', '.join(sources)} is recorded; there are {', '.join(recorded)}"
        )
    wanted = None if query_ids is None else set(query_ids)
    gathered = _Gathered(backends, sources, answer_kind, with_samples=with_samples)
    for number, recording in enumerate(recordings):
        gathered.add(number, recording, wanted)
    missing = sorted((wanted or set()) - {query_id for _, query_id in gathered.ids})
    if missing:
        raise FitError(f"{len(missing)} query ids are in no recording, the first is {missing[0]!r}")
    if not gathered.texts:
        raise FitError("no queries to fit on")
    return gathered.rows()


class _Gathered:
    """Rows of several recordings while they are read."""

    def __init__(
        self, backends: tuple[str, ...], sources: Mapping[str, str], answer_kind: str, *, with_samples: bool
    ) -> None:
        self.backends, self.answer_kind, self.with_samples = backends, answer_kind, with_samples
        self.places: dict[str, list[int]] = {}  # recorded name -> indices into backends
        for place, name in enumerate(backends):
            self.places.setdefault(sources[name], []).append(place)
        self.texts: list[str] = []
        self.ids: list[tuple[int, str]] = []
        self.cells: dict[tuple[int, int], list[tuple[float, float, bool]]] = {}  # reward, tokens, cut
        self.samples: list[LabelledSample] = []
        self.taken = 0  # labelled samples
        self.counts: Counter[str] = Counter()

    def add(self, number: int, recording: Recording, wanted: set[str] | None) -> None:
        """Read one recording's rows of the wanted queries."""
        places = [
            place
            for place, query in enumerate(recording.queries)
            if wanted is None or query.query_id in wanted
        ]
        moved = np.full(len(recording.queries), -1, dtype=np.int64)
        moved[places] = np.arange(len(self.texts), len(self.texts) + len(places))
        self.ids.extend((number, recording.queries[place].query_id) for place in places)
        self.texts.extend(recording.queries[place].query for place in places)
        seen, table = recording.columns, _Columns(recording, self.answer_kind, with_text=self.with_samples)
        names = [self.places.get(name, ()) for name in recording.backends]
        rows = np.flatnonzero(moved[seen.query] >= 0)
        told = zip(
            rows.tolist(),
            moved[seen.query[rows]].tolist(),
            *(of[rows].tolist() for of in (seen.backend, seen.reward, seen.finished, seen.tokens_out)),
            strict=True,
        )
        for row, query, backend, reward, finished, tokens in told:
            self.counts["samples_seen" if finished else "snapshots_seen"] += 1
            if not 0.0 <= reward <= 1.0:  # NaN too
                self.counts["skipped_without_reward"] += 1
                continue
            for place in names[backend]:
                if self.with_samples:
                    sample = table.sample(row, self.backends[place])
                    self.samples.append(LabelledSample(query, sample, reward))
                self.taken += 1
                if finished:
                    entry = (reward, tokens, table.finish_reason(row) == "length")
                    self.cells.setdefault((query, place), []).append(entry)

    def rows(self) -> FitRows:
        """What was read, as arrays."""
        shape = (len(self.texts), len(self.backends))
        reward, both, tokens = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
        cut = np.zeros(shape, dtype=np.bool_)
        for at, cell in self.cells.items():
            if len(cell) == 1:  # nothing to add up; adding took most of the time of one sample each
                reward[at], tokens[at], cut[at] = cell[0]
                continue
            rewards, count = np.array([entry[0] for entry in cell]), len(cell)
            reward[at] = rewards.mean()
            # mean of r_i r_j over pairs of different draws
            both[at] = (rewards.sum() ** 2 - (rewards**2).sum()) / (count * (count - 1))
            tokens[at] = sum(entry[1] for entry in cell) / count
            cut[at] = mostly_cut(entry[2] for entry in cell)
        self.counts["queries"] = len(self.texts)
        self.counts["samples"] = self.taken
        self.counts["queries_without_any_reward"] = int((~np.isfinite(reward)).all(axis=1).sum())
        counts = {key: float(count) for key, count in self.counts.items()}
        return FitRows(
            texts=tuple(self.texts),
            backends=self.backends,
            reward=reward,
            both=both,
            tokens=tokens,
            cut=cut,
            samples=tuple(self.samples),
            counts=counts,
            ids=tuple(self.ids),
            answer_kind=self.answer_kind,
        )


class _Columns:
    """Samples of a recording as a backend would return them, texts read by column rather than by cell."""

    def __init__(self, recording: Recording, answer_kind: str, *, with_text: bool = True) -> None:
        self.recording, self.kind = recording, answer_kind
        self.text = self._column("text") if with_text else None
        self.finish = self._column("finish_reason")
        self.states = HiddenColumn(recording)

    def _column(self, name: str) -> list[str | None] | None:
        table = self.recording.sample_table
        return table.column(name).to_pylist() if name in table.column_names else None

    def finish_reason(self, row: int) -> str:
        """Why the sample of one row ended; "stop" where nobody says."""
        return (self.finish[int(self.recording.file_row[row])] if self.finish else None) or "stop"

    def sample(self, row: int, backend: str) -> Sample:
        """The sample of one row under the name of `backend`, as the recorded backend would serve it."""
        seen, place = self.recording.columns, int(self.recording.file_row[row])
        number = int(seen.answer[row])
        answer = None if number < 0 else self.recording.answers[number]
        text = (self.text[place] if self.text else None) or answer or ""
        if answer is None and text:
            answer = extract(text, self.kind)
        finished = bool(seen.finished[row])
        hidden, recorded = self.states.vector(row), self.recording.backends[int(seen.backend[row])]
        return Sample(
            sample_id=f"{row}",
            backend=backend,
            text=text,
            index=int(seen.sample_idx[row]),
            finished=finished,
            finish_reason=self.finish_reason(row) if finished else "",
            tokens_in=round(float(seen.tokens_in[row])),
            tokens_out=round(float(seen.tokens_out[row])),
            mean_logprob=_known(seen.mean_logprob[row]),
            first_entropy=_known(seen.first_entropy[row]),
            confidence=_known(seen.confidence[row]),
            hidden=hidden,
            pieces=() if hidden is None else made_of(len(hidden), self.states.pieces(recorded)),
            prefix_tokens=None if finished else int(seen.prefix_tokens[row]),
            answer=answer,
        )


def _known(value: np.float32) -> float | None:
    return None if np.isnan(value) else float(value)
