"""What one subject decided in one split; and the same as decision rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from training.decision_rows import NO_ANSWER, DecisionRows, Named, RowKey, cost_of_samples
from training.suites.early_exit.traces import Places, Traces

# signal: tokens per trace that the best threshold in hindsight saves on this half
HINDSIGHT = "hindsight_saved"


@dataclass(frozen=True, slots=True)
class Decided:
    """Where each of the m measured traces stops, after which looks."""

    point: str  # operating point
    label: str  # the setting
    measured: Places = field(compare=False)  # (m,) places in the traces
    place: Places = field(compare=False)  # (m, L') columns of the snapshots looked at, -1 behind the last
    stops: Places = field(compare=False)  # (m,) number of the look at which it stops; L' for never
    could_save: float = float("nan")  # share of the half's tokens that the best threshold in hindsight saves


def as_rows(
    decided: Decided, traces: Traces, *, subject: str, seed: int, split: int
) -> Iterator[DecisionRows]:
    """One block for the first trace of every query, one for the second, …"""
    draws = traces.draws()[decided.measured]
    for draw in range(int(draws.max(initial=-1)) + 1):
        yield _block(decided, traces, np.flatnonzero(draws == draw), (subject, seed, split, draw))


def _block(decided: Decided, traces: Traces, mine: Places, at: tuple[str, int, int, int]) -> DecisionRows:
    subject, seed, split, draw = at
    trace, stops = decided.measured[mine], decided.stops[mine]
    m, most = len(mine), decided.place.shape[1]
    never = stops >= most
    looked = (np.arange(most) <= stops[:, None]) & (decided.place[mine] >= 0)
    rows = np.hstack(
        [traces.rows[trace[:, None], np.maximum(decided.place[mine], 0)], traces.last[trace][:, None]]
    )
    taken = np.hstack([looked, never[:, None]])
    counts = taken.sum(axis=1)
    speaker = rows[np.arange(m), np.where(never, most, stops)]
    answer: NDArray[np.int32] = traces.recording.columns.answer[speaker]
    block = DecisionRows(
        key=RowKey("early_exit", traces.recording.name, subject, seed, split, decided.point, draw),
        query=traces.query[trace].astype(np.int32),
        plans=(decided.label,),
        plan=np.zeros(m, np.int32),
        samples_from=np.concatenate(([0], np.cumsum(counts))).astype(np.int32),
        sample_row=rows[taken],
        answer=np.where(answer >= 0, answer, NO_ANSWER).astype(np.int32),
        cost=np.zeros(m),
        probabilities=Named(
            (decided.label,), np.arange(m + 1, dtype=np.int32), np.zeros(m, np.int32), np.ones(m)
        ),
        signals=Named.dense({HINDSIGHT: np.full(m, decided.could_save)}, m),
    )
    return replace(block, cost=cost_of_samples(block, traces.recording))
