"""How far to believe what samples say for themselves: learned for each backend from queries with several samples.

A sample's evidence (`predictors.evidence`) is what a head says of it as if it were the only one, made without its
query's fold. The share of it that makes "answer j is right" likeliest, beside the votes, is believed; where it is no
better than the votes alone by half a standard error and a hundredth of their loss, none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from predictors.evidence import NEAREST
from predictors.learned_stops import LearnedStops
from predictors.pass_rate import correlation
from router.answers import canonical
from router.stopping.value_of_next import ValueOfNext
from training.alone_rows import alone_rows, judged_alone
from training.fit.heads import Fitted
from training.sampling.weighed_runs import Votes, weighed_runs

Floats = NDArray[np.float64]
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
MARGIN = 0.5  # standard errors
LEAST = 0.01  # of the votes' own loss: what tells less is no reason to weigh them
ENOUGH = 40  # queries with two samples or more
_MOST_SAMPLES = 4_000  # of a backend, a seeded choice of its queries
_MOST_EACH = 16  # of a query


@dataclass(frozen=True, slots=True)
class Told:
    """n queries of one backend with up to N samples each, in a drawn order."""

    classes: NDArray[np.int64] = field(compare=False)  # (n, N) answer class, -1 without a vote or a sample
    reward: Floats = field(compare=False)  # (n, N)
    full: Floats = field(compare=False)  # (n, N) evidence, all of it believed
    models: Floats = field(compare=False)  # (n, 2) a and b of the pass rates


def with_belief(stops: LearnedStops, fitted: Fitted, seed: int) -> LearnedStops:
    """The same with the belief of every backend that has several samples of enough queries."""
    found = [(backend, belief_of(fitted, backend, seed)) for backend in fitted.rows.backends]
    return replace(stops, believed=tuple((backend, share) for backend, share in found if share > 0))


def belief_of(fitted: Fitted, backend: str, seed: int) -> float:
    """Of one backend; 0 where too few of its queries have several samples."""
    place = fitted.rows.backends.index(backend)
    told = _told(fitted, place, np.random.default_rng([seed, place]))
    return 0.0 if told is None else belief(told)


def belief(told: Told) -> float:
    """The share of `SHARES` under which the answers' rewards are likeliest; 0 where the votes alone are as good.

    Votes alone, with what was expected of a query corrected for all of its samples alike: that is no reason to prefer
    one of its answers.
    """
    there = (told.classes >= 0).sum(axis=1, keepdims=True)
    mean = (told.full * (told.classes >= 0)).sum(axis=1, keepdims=True) / np.maximum(there, 1)
    alike = replace(told, full=np.broadcast_to(mean, told.full.shape))
    # (shares, n)
    losses, votes = (np.stack([_loss(one, share) for share in SHARES]) for one in (told, alike))
    best = int(losses.mean(axis=1).argmin())
    by_votes = votes[votes.mean(axis=1).argmin()]
    gain = by_votes - losses[best]
    least = max(MARGIN * float(gain.std()) / len(gain) ** 0.5, LEAST * float(by_votes.mean()))
    sure = len(gain) >= ENOUGH and gain.mean() > least
    return SHARES[best] if best and sure else 0.0


def _loss(told: Told, share: float) -> Floats:
    """Mean logarithmic loss of P(right) over all answers and all numbers of samples from two on, (n,)."""
    votes = Votes(told.classes, share * told.full, told.models)
    right = np.clip(weighed_runs(votes).each, NEAREST, 1 - NEAREST)  # (n, N, C)
    kinds = right.shape[2]
    same = told.classes[..., None] == np.arange(kinds)
    times = same.sum(axis=1)
    worth = (same * told.reward[..., None]).sum(axis=1) / np.maximum(times, 1)  # (n, C)
    came = np.cumsum(same, axis=1)[:, 1:] > 0
    loss = -(worth[:, None] * np.log(right[:, 1:]) + (1 - worth[:, None]) * np.log(1 - right[:, 1:]))
    return np.asarray((came * loss).sum(axis=(1, 2)) / np.maximum(came.sum(axis=(1, 2)), 1))


def _told(fitted: Fitted, place: int, rng: np.random.Generator) -> Told | None:
    """What the fit's own queries say, each judged without its fold."""
    rows, backend = fitted.rows, fitted.rows.backends[place]
    cells: dict[int, list[int]] = defaultdict(list)
    for number, labelled in enumerate(rows.samples):
        if labelled.sample.backend == backend and labelled.sample.finished:
            cells[labelled.query].append(number)
    several = [query for query, cell in sorted(cells.items()) if len(cell) > 1]
    if not fitted.samples.folds or len(several) < ENOUGH:
        return None
    chosen, room = [], _MOST_SAMPLES
    for query in rng.permutation(several).tolist():
        cell = [cells[query][at] for at in rng.permutation(len(cells[query]))[:_MOST_EACH].tolist()]
        room -= len(cell)
        if room < 0:
            break
        chosen.append((query, cell))
    expected = fitted.tokens[:, place]
    numbers = [number for _, cell in chosen for number in cell]
    read = alone_rows(rows, numbers)
    alone = judged_alone(read, fitted.samples, fitted.folds, fitted.query.held_out[:, place], expected)
    shape = (len(chosen), max(len(cell) for _, cell in chosen))
    classes, reward, judged = np.full(shape, -1), np.zeros(shape), np.full(shape, 0.5)
    prior = fitted.query.held_out[[query for query, _ in chosen], place]
    known: Mapping[int, float] = dict(zip(numbers, alone.tolist(), strict=True))
    for at, (_, cell) in enumerate(chosen):
        seen: dict[str, int] = {}
        for turn, number in enumerate(cell):
            answer = rows.samples[number].sample.answer
            if answer is not None:
                classes[at, turn] = seen.setdefault(canonical(answer, rows.answer_kind), len(seen))
            reward[at, turn], judged[at, turn] = rows.samples[number].reward, known[number]
    return Told(
        classes,
        reward,
        log_odds(judged) - log_odds(prior)[:, None],
        models_of(prior, float(fitted.bundle.rho[place])),
    )


def models_of(prior: Floats, rho: float) -> Floats:
    """(n, 2): a and b of every query's pass rate, as the rule that serves takes them."""
    rule = ValueOfNext()
    models = [
        rule.model(p, correlation(p, p * p + rho * (p - p * p)))
        for p in np.clip(prior, NEAREST, 1 - NEAREST).tolist()
    ]
    return np.array([(one.a, one.b) for one in models]).reshape(-1, 2)


def log_odds(p: Floats) -> Floats:
    """As `predictors.evidence` takes it."""
    inside = np.clip(p, NEAREST, 1 - NEAREST)
    return np.asarray(np.log(inside / (1 - inside)))
