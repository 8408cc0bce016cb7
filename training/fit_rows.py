"""The rows that a fit reads: queries, and per backend their mean reward, pairs of right draws, tokens and samples.

Made from a recording for the queries that are named and no others; `task` and `gold` are not read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictors.errors import FitError
from predictors.observation import Sample
from router.answers import extract
from router.recording import Recording

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
    cut: NDArray[np.bool_] = field(compare=False)  # (n, B) a sample was cut by a token limit
    samples: tuple[LabelledSample, ...] = field(
        default=(), compare=False, repr=False
    )  # labelled ones, in order of draws
    counts: Mapping[str, float] = field(default_factory=dict, compare=False)
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
            self.answer_kind,
        )


def rows_of(
    recordings: Sequence[Recording],
    query_ids: Sequence[str] | None = None,
    answer_kind: str = "auto",
) -> FitRows:
    """Rows of the named queries (None: all) of one or several recordings, whose backends are told apart by name.

    Rewards that are null are skipped and counted. Raises `FitError` for an id that no recording has, and for none.
    """
    backends = tuple(dict.fromkeys(name for recording in recordings for name in recording.backends))
    wanted = None if query_ids is None else set(query_ids)
    texts: list[str] = []
    grid: dict[tuple[int, int], list[tuple[float, float, bool]]] = {}
    samples: list[LabelledSample] = []
    counts: Counter[str] = Counter()
    found: set[str] = set()
    for recording in recordings:
        places = [
            place
            for place, query in enumerate(recording.queries)
            if wanted is None or query.query_id in wanted
        ]
        found.update(recording.queries[place].query_id for place in places)
        moved = np.full(len(recording.queries), -1, dtype=np.int64)
        moved[places] = np.arange(len(texts), len(texts) + len(places))
        texts.extend(recording.queries[place].query for place in places)
        table = _Columns(recording, answer_kind)
        for row in np.flatnonzero(moved[recording.columns.query] >= 0).tolist():
            query = int(moved[recording.columns.query[row]])
            reward = float(recording.columns.reward[row])
            backend = backends.index(recording.backends[recording.columns.backend[row]])
            finished = bool(recording.columns.finished[row])
            counts["samples_seen" if finished else "snapshots_seen"] += 1
            if not 0.0 <= reward <= 1.0:  # NaN too
                counts["skipped_without_reward"] += 1
                continue
            sample = table.sample(row)
            samples.append(LabelledSample(query, sample, reward))
            if finished:
                tokens = float(recording.columns.tokens_out[row])
                grid.setdefault((query, backend), []).append(
                    (reward, tokens, sample.finish_reason == "length")
                )
    if wanted is not None and wanted - found:
        missing = sorted(wanted - found)
        raise FitError(
            f"{len(missing)} of {len(wanted)} query ids are in no recording, the first is {missing[0]!r}"
        )
    if not texts:
        raise FitError("no queries to fit on")
    shape = (len(texts), len(backends))
    reward, both, tokens = (np.full(shape, np.nan) for _ in range(3))
    cut = np.zeros(shape, dtype=np.bool_)
    for (query, backend), cell in grid.items():
        rewards = [entry[0] for entry in cell]
        total, count = sum(rewards), len(cell)
        reward[query, backend] = total / count
        if count > 1:  # mean of r_i r_j over pairs of different draws
            both[query, backend] = (total * total - sum(value * value for value in rewards)) / (
                count * (count - 1)
            )
        tokens[query, backend] = sum(entry[1] for entry in cell) / count
        cut[query, backend] = any(entry[2] for entry in cell)
    counts["queries"] = len(texts)
    counts["samples"] = len(samples)
    counts["queries_without_any_reward"] = int((~np.isfinite(reward)).all(axis=1).sum())
    counted = {key: float(count) for key, count in counts.items()}
    return FitRows(tuple(texts), backends, reward, both, tokens, cut, tuple(samples), counted, answer_kind)


class _Columns:
    """Samples of a recording as a backend would return them, texts read by column rather than by cell."""

    def __init__(self, recording: Recording, answer_kind: str) -> None:
        self.recording, self.kind = recording, answer_kind
        self.text, self.finish = self._column("text"), self._column("finish_reason")

    def _column(self, name: str) -> list[str | None] | None:
        table = self.recording.sample_table
        return table.column(name).to_pylist() if name in table.column_names else None

    def sample(self, row: int) -> Sample:
        """The sample of one row; a text that was not recorded is the answer, as the recorded backend has it."""
        seen, place = self.recording.columns, int(self.recording.file_row[row])
        number = int(seen.answer[row])
        answer = None if number < 0 else self.recording.answers[number]
        text = (self.text[place] if self.text else None) or answer or ""
        if answer is None and text:
            answer = extract(text, self.kind)
        finished = bool(seen.finished[row])
        reason = (self.finish[place] if self.finish else None) or "stop"
        return Sample(
            sample_id=f"{row}",
            backend=self.recording.backends[seen.backend[row]],
            text=text,
            index=int(seen.sample_idx[row]),
            finished=finished,
            finish_reason=reason if finished else "",
            tokens_in=round(float(seen.tokens_in[row])),
            tokens_out=round(float(seen.tokens_out[row])),
            mean_logprob=_known(seen.mean_logprob[row]),
            first_entropy=_known(seen.first_entropy[row]),
            confidence=_known(seen.confidence[row]),
            prefix_tokens=None if finished else int(seen.prefix_tokens[row]),
            answer=answer,
        )


def _known(value: np.float32) -> float | None:
    return None if np.isnan(value) else float(value)
