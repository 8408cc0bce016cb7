"""What pruning loses: samples of one query grow side by side, the weakest half is dropped at half of the usual length.

The rule that serves (`router.stopping.prune`) judges what the recording shows at the check-point nearest to half of the
samples' mean length: samples that have finished by then, and the others as they were. The vote over what is left is
held against the vote over all. Subjects: `prune@stated` (the probability of each tentative answer, where all have one,
else the log-probabilities: the rule's own order), `prune@logprob` (mean log-probability: nobody is asked for an
answer), `prune@random` (no strength at all), and `fewer@half`, half as many samples in the first place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from predictors.observation import Message, Observation, Query, Sample
from router.recording import Recording
from router.stopping.prune import Prune
from training.decision_rows import NO_ANSWER, DecisionRows, Named, RowKey, cost_of_samples
from training.sampling.problem import LEAST_QUERIES, answer_groups
from training.sampling.runs import leaders
from training.suites.early_exit.traces import NO_ROW

KEEP = 0.5  # of the samples
LEAST_SAMPLES = 4  # of a query
ORDERS = 20  # in which a query's samples are numbered: ties of votes and strengths go to the earlier one
SUBJECTS = ("prune@stated", "prune@logprob", "prune@random", "fewer@half")
TOGETHER = "together"  # signal: samples of the query that grow side by side; it may have more
_NOBODY = Query("", (Message("user"),))

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Together:
    """n queries with K samples each, and what each sample was at the check-point."""

    recording: Recording
    backend: str
    at_tokens: int
    queries: NDArray[np.int32] = field(compare=False)  # (n,) index into Recording.queries
    last: Rows = field(compare=False)  # (n, K) rows of the finished samples
    then: Rows = field(compare=False)  # (n, K) rows of the snapshots, NO_ROW where it had finished
    classes: NDArray[np.int32] = field(compare=False)  # by row of the columns, -1: no answer


def together(recording: Recording, backend: str) -> Together | None:
    """None where fewer than 60 queries have four samples or more with the check-point (as many for each)."""
    seen = recording.columns
    found = []
    for place in range(len(recording.queries)):
        rows = recording.rows(place, backend)
        if np.isfinite(seen.reward[rows]).all() and np.isfinite(seen.tokens_out[rows]).all():
            found.append((place, rows))
    sizes = sorted((rows.stop - rows.start for _, rows in found), reverse=True)
    most = sizes[LEAST_QUERIES - 1] if len(sizes) >= LEAST_QUERIES else 0
    kept = [(place, rows) for place, rows in found if rows.stop - rows.start >= most]
    mine = ~seen.finished & (seen.backend == recording.backends.index(backend))
    if most < LEAST_SAMPLES or not mine.any():
        return None
    last = np.array([np.arange(rows.start, rows.start + most) for _, rows in kept])
    grid, count = np.unique(seen.prefix_tokens[mine], return_counts=True)
    usual = grid[count >= count.max() / 4]  # rare ones are the last points of long samples
    at = int(usual[np.argmin(np.abs(usual - seen.tokens_out[last].mean() / 2))])
    there = np.flatnonzero(mine & (seen.prefix_tokens == at))
    snapshot = {(int(seen.query[row]), int(seen.sample_idx[row])): int(row) for row in there}
    queries = np.array([place for place, _ in kept], np.int32)
    then = np.array(
        [
            [
                snapshot.get((int(query), int(seen.sample_idx[row])), NO_ROW)
                if seen.tokens_out[row] > at
                else NO_ROW
                for row in rows
            ]
            for query, rows in zip(queries, last, strict=True)
        ]
    )
    whole = ((then != NO_ROW) | (seen.tokens_out[last] <= at)).all(axis=1)
    if whole.sum() < LEAST_QUERIES:
        return None
    groups = answer_groups(recording)
    return Together(recording, backend, at, queries[whole], last[whole], then[whole], groups)


def pruned(group: Together, subject: str, name: str, seed: int) -> Iterator[DecisionRows]:
    """One block per order; `name`: the subject as it is printed."""
    n, most = group.last.shape
    seen, rows = group.recording.columns, np.arange(n)[:, None]
    for number in range(ORDERS):
        rng = np.random.default_rng([seed, number])
        order = np.argsort(rng.random((n, most)), axis=1)
        last, then = group.last[rows, order], group.then[rows, order]
        dropped = _dropped(group, subject, last, then, rng)
        votes = np.where(dropped, -1, group.classes[last])
        speaker = np.where((votes >= 0).any(axis=1), _speakers(votes), (~dropped).argmax(axis=1))
        samples, starts = list[int](), [0]
        for query in range(n):
            for place in range(most):
                if subject == "fewer@half" and dropped[query, place]:
                    continue
                row = int(then[query, place])
                looked = subject == "prune@stated" and row != NO_ROW
                if looked or dropped[query, place]:
                    samples.append(row)
                if not dropped[query, place]:
                    samples.append(int(last[query, place]))
            starts.append(len(samples))
        answer = seen.answer[last[np.arange(n), speaker]]
        label = f"half at {group.at_tokens} tokens"
        block = DecisionRows(
            key=RowKey("early_exit", group.recording.name, name, seed, 0, "half", number),
            query=group.queries,
            plans=(label,),
            plan=np.zeros(n, np.int32),
            samples_from=np.array(starts, np.int32),
            sample_row=np.array(samples, np.int64),
            answer=np.where(answer >= 0, answer, NO_ANSWER).astype(np.int32),
            cost=np.zeros(n),
            probabilities=Named(
                (label,), np.arange(n + 1, dtype=np.int32), np.zeros(n, np.int32), np.ones(n)
            ),
            signals=Named.dense({TOGETHER: np.full(n, most)}, n),
        )
        yield replace(block, cost=cost_of_samples(block, group.recording))


def _dropped(
    group: Together, subject: str, last: Rows, then: Rows, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Which samples do not go on, (n, K)."""
    n, most = last.shape
    found = np.zeros((n, most), np.bool_)
    if subject == "fewer@half":
        found[:, ceil(KEEP * most) :] = True
        return found
    seen, rule = group.recording.columns, Prune(group.at_tokens, KEEP)
    for query in range(n):
        samples = []
        for place in range(most):
            growing = then[query, place] != NO_ROW
            row = int(then[query, place] if growing else last[query, place])
            strength = float(rng.random()) - 1 if subject == "prune@random" else float(seen.mean_logprob[row])
            stated = float(seen.confidence[row]) if subject == "prune@stated" and growing else float("nan")
            samples.append(
                Sample(
                    str(place),
                    group.backend,
                    finished=not growing,
                    prefix_tokens=group.at_tokens if growing else None,
                    mean_logprob=None if np.isnan(strength) else strength,
                    confidence=None if np.isnan(stated) else stated,
                )
            )
        verdict = rule.verdict(Observation(_NOBODY, tuple(samples), max_samples=most), {})
        found[query, [int(name) for name in verdict.prune]] = True
    return found


def _speakers(votes: NDArray[np.int32]) -> NDArray[np.int64]:
    """Which sample answers, (n,): one of the class with most votes, of equals the class that came first."""
    numbers = np.full(votes.shape, -1, np.int64)
    for query, own in enumerate(votes):
        known = np.unique(own[own >= 0])
        numbers[query] = np.where(own >= 0, np.searchsorted(known, own), -1)
    return leaders(numbers)[:, -1].astype(np.int64)
