"""The rows of a fit from the log: what each backend's first sample earned, and what whole plans did.

A decision shows one plan's outcome. A backend's P(right) is learned from plans of one sample alone: there the label
comes whatever the sample was, and who was drawn depends on what was known of the query only. A cascade's first sample
is labelled only where it was kept, its second only where the first was not: such labels go to the head over samples
(which is told what the sample looks like) and to the plan's own head, and to a backend only where it has no others.
Equal texts are one query: only there are two samples of one query ever seen. What was drawn under a plan's name before
its rules were changed is no outcome of the plan of today, and its samples are labelled like those of a cascade.

When it fails: where the policy looked at something that the features do not have (a caller's hint), rows are not
missing at random given the features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.errors import FitError
from predictors.observation import Sample
from router.domain.plan import Plan
from router.learned_plans.risk_thresholds import takes_numbers
from training.fit.rows import FitRows, LabelledSample, mostly_cut
from training.log.read import DecisionLog
from training.plan_outcomes import PlanOutcomes

Floats = NDArray[np.float64]
CAP = 200_000  # decisions that one fit reads
FEW = 100  # labels of a backend by plans of one sample, below which it is given the selected ones, too
COLUMNS = (
    "plan", "digest", "propensity", "query_text", "samples", "answer", "usable", "status", "probabilities", "digests",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LogRows:
    """`rows` for the heads of backends and samples, `outcomes` (row by row of `rows`) for those of plans."""

    rows: FitRows
    outcomes: PlanOutcomes = field(compare=False)
    asked: NDArray[np.int64] = field(compare=False)  # (t,) the row of each decision that was read, by arrival
    at: Floats = field(compare=False)  # (t,) when it came, seconds since the epoch
    taken: int  # labelled decisions that were read
    labelled: int  # that there were


def stratified(log: DecisionLog, reward: Floats, cap: int, seed: int) -> NDArray[np.bool_]:
    """Which labelled decisions a fit reads, shape (n,): at most `cap`, as evenly over the actions as they allow.

    Within an action a row is taken with a chance that falls with its propensity, so that what was drawn by exploration
    is not drowned by what the policy always draws.
    """
    text = np.array([bool(one) for one in log.texts("query_text")], dtype=np.bool_)
    usable = np.isfinite(reward) & text & ~log.shadows
    found = np.flatnonzero(usable)
    if len(found) <= cap:
        return usable
    names, action = log.coded("digest")
    chance = np.maximum(np.nan_to_num(log.numbers("propensity"), nan=1.0), 1e-3)
    # (Efraimidis and Spirakis 2006: weight 1/propensity)
    key = np.random.default_rng(seed).random(len(log)) ** chance
    counts = np.bincount(action[found], minlength=len(names))
    level = _water_level(counts, cap)
    kept = np.zeros(len(log), dtype=np.bool_)
    for number in np.flatnonzero(counts):
        mine = found[action[found] == number]
        kept[mine[np.argsort(-key[mine])[:level]]] = True
    return kept


def log_rows(
    log: DecisionLog,
    reward: Floats,
    plans: Mapping[str, Plan],
    backends: Sequence[str],
    *,
    cap: int = CAP,
    seed: int = 0,
    answer_kind: str = "auto",
) -> LogRows:
    """Rows of at most `cap` labelled decisions. Raises `FitError` where none has a reward and a text."""
    kept = stratified(log, reward, cap, seed)
    if not kept.any():
        raise FitError('no decision of the log has a reward and the text of its query (store.keep = "full")')
    read = log.taken(kept)
    gathered = _Gathered(plans, tuple(backends))
    texts, digests, names = read.texts("query_text"), read.texts("digest"), read.texts("plan")
    samples, answers, times = read.column("samples").to_pylist(), read.texts("answer"), read.times()
    asked = np.full(len(times), -1, dtype=np.int64)
    for place, value in enumerate(reward[kept].tolist()):
        asked[place] = gathered.add(
            texts[place] or "",
            names[place] or "",
            digests[place] or "",
            samples[place],
            answers[place],
            value,
        )
    text = np.array([bool(one) for one in log.texts("query_text")], dtype=np.bool_)
    usable = int((np.isfinite(reward) & text & ~log.shadows).sum())
    gathered.counts["decisions_without_reward"] = int((~np.isfinite(reward)).sum())
    gathered.counts["decisions_without_text"] = int((~text).sum())
    gathered.counts["decisions_over_the_cap"] = usable - int(kept.sum())
    rows, outcomes = gathered.rows(answer_kind)
    known = asked >= 0
    return LogRows(rows, outcomes, asked[known], times[known], int(kept.sum()), usable)


class _Gathered:
    """Rows while decisions are read."""

    def __init__(self, plans: Mapping[str, Plan], backends: tuple[str, ...]) -> None:
        self.plans, self.backends = plans, backends
        self.place = {name: at for at, name in enumerate(backends)}
        # what a plan is, unless a bundle's numbers are part of it; "": any
        self.digests = {name: "" if takes_numbers(plan) else plan.digest for name, plan in plans.items()}
        self.texts: dict[str, int] = {}
        self.cells: dict[tuple[int, int], list[float]] = {}
        self.selected: dict[tuple[int, int], list[float]] = {}  # labels that depend on how samples turned out
        self.tokens: dict[tuple[int, int], list[tuple[float, bool]]] = {}
        self.samples: list[LabelledSample] = []
        # reward, and samples of each stage; (): nothing was drawn here, as of a query that was only decided
        self.ran: dict[tuple[int, str], list[tuple[float, tuple[int, ...]]]] = {}
        self.counts: Counter[str] = Counter()

    def add(
        self,
        text: str,
        plan: str,
        digest: str,
        drawn: list[dict[str, Any]],
        answer: str | None,
        reward: float,
    ) -> int:
        """One labelled decision; its row, or -1 where its plan is not known."""
        known = self.plans.get(plan)
        if known is None:
            self.counts["decisions_of_unknown_plans"] += 1
            return -1
        query = self.texts.setdefault(" ".join(text.split()), len(self.texts))
        finished = [one for one in drawn if one["prefix_tokens"] is None and one["backend"] in self.place]
        same = self.digests[plan] in ("", digest)  # else it was another plan, which had this name
        if not same:
            self.counts["decisions_of_changed_plans"] += 1
        alone = same and len(known.stages) == 1 and known.stages[0].max_samples == 1
        last = max((one["stage"] for one in finished), default=0)
        labels = _labels([one for one in finished if one["stage"] == last], answer, reward)
        labels += _labels([one for one in finished if one["stage"] < last], answer, reward)
        for one, label in labels:
            at = (query, self.place[one["backend"]])
            if one["stage"] == 0:  # a later stage's length is that of the queries that came so far
                cut = one["finish_reason"] in ("length", "cancelled", "cut")
                self.tokens.setdefault(at, []).append((float(one["tokens_out"]), cut))
            if label is None:
                self.counts["samples_without_label"] += 1
                continue
            (self.cells if alone else self.selected).setdefault(at, []).append(label)
            self.samples.append(LabelledSample(query, _sample(one), label))
        count = tuple(sum(one["stage"] == stage for one in finished) for stage in range(len(known.stages)))
        if same:
            self.ran.setdefault((query, plan), []).append((reward, count if drawn else ()))
        return query

    def rows(self, answer_kind: str) -> tuple[FitRows, PlanOutcomes]:
        """What was read, as arrays."""
        n, width = len(self.texts), len(self.backends)
        seen = np.bincount([at for _, at in self.cells], minlength=width) if self.cells else np.zeros(width)
        for (query, at), labels in self.selected.items():
            if seen[at] < FEW:
                self.cells.setdefault((query, at), []).extend(labels)
                self.counts["labels_of_selected_samples"] += len(labels)
        reward, both, tokens = (np.full((n, width), np.nan) for _ in range(3))
        cut = np.zeros((n, width), dtype=np.bool_)
        for cell, found in self.cells.items():
            values = np.array(found)
            reward[cell] = values.mean()
            if len(values) > 1:
                both[cell] = (values.sum() ** 2 - (values**2).sum()) / (len(values) * (len(values) - 1))
        for cell, lengths in self.tokens.items():
            tokens[cell] = float(np.mean([length for length, _ in lengths]))
            cut[cell] = mostly_cut(short for _, short in lengths)
        self.counts["queries"], self.counts["samples"] = n, len(self.samples)
        counts = {name: float(count) for name, count in self.counts.items()}
        ids = tuple((0, str(number)) for number in range(n))
        rows = FitRows(
            tuple(self.texts),
            self.backends,
            reward,
            both,
            tokens,
            cut,
            tuple(self.samples),
            counts,
            ids,
            answer_kind,
        )
        return rows, self._outcomes(n)

    def _outcomes(self, n: int) -> PlanOutcomes:
        names = tuple(self.plans)
        stages = tuple(len(plan.stages) for plan in self.plans.values())
        first = np.append(0, np.cumsum(stages))
        reward, samples = np.full((n, len(names)), np.nan), np.full((n, int(first[-1])), np.nan)
        column = {name: at for at, name in enumerate(names)}
        for (query, plan), ran in self.ran.items():
            at = column[plan]
            reward[query, at] = np.mean([value for value, _ in ran])
            counts = [count for _, count in ran if count]
            if counts:
                samples[query, first[at] : first[at + 1]] = np.mean(counts, axis=0)
        for plan, at in column.items():
            mine = slice(first[at], first[at + 1])
            if np.isnan(samples[:, mine]).all():  # as a forecast has it where nothing was learned
                asked = np.isfinite(reward[:, at])
                samples[asked, mine] = [stage.max_samples for stage in self.plans[plan].stages]
        return PlanOutcomes(names, stages, reward, samples)


def _labels(
    finished: list[dict[str, Any]], answer: str | None, reward: float
) -> list[tuple[dict[str, Any], float | None]]:
    """Each sample with its label: those that say the answer have its reward, others are wrong where it is right."""
    if len(finished) == 1 and (answer is None or finished[0]["answer"] in (None, answer)):
        return [(finished[0], reward)]
    same = {
        one["answer_class"] for one in finished if one["answer"] == answer and one["answer_class"] is not None
    }
    found: list[tuple[dict[str, Any], float | None]] = []
    for one in finished:
        if one["answer"] == answer or one["answer_class"] in same:
            found.append((one, reward))
        else:
            found.append((one, 0.0 if reward >= 1.0 else None))
    return found


def _sample(one: dict[str, Any]) -> Sample:
    return Sample(
        sample_id=one["sample_id"],
        backend=one["backend"],
        text=one["text"] or "",
        stage=0,
        index=one["index"],
        finish_reason=one["finish_reason"] or "stop",
        tokens_in=one["tokens_in"],
        tokens_cached=one["tokens_cached"],
        tokens_out=one["tokens_out"],
        mean_logprob=one["mean_logprob"],
        first_entropy=one["first_entropy"],
        answer=one["answer"],
    )


def _water_level(counts: NDArray[np.int64], cap: int) -> int:
    """The most rows of one action such that all together are at most `cap`."""
    low, high = 0, int(counts.max())
    while low < high:
        middle = (low + high + 1) // 2
        if int(np.minimum(counts, middle).sum()) <= cap:
            low = middle
        else:
            high = middle - 1
    return low
