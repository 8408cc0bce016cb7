"""A menu of plans for a recording: what `replay`, `fit` and the demo use where no router.toml is given.

Every backend alone; votes where enough samples were recorded, of the cheapest backend at several costs of a sample;
cascades from the cheapest backend to each dearer one, by its confidence. Rewards and gold answers are not read. The
number of plans is bounded, since each one more makes every decision dearer: with many backends there are fewer of each
kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from router.config import BackendConfig, Config, PlanConfig, StageConfig, StoreConfig
from router.recording import Recording
from training.comparable_answers import answer_groups, comparable

ENOUGH_TO_VOTE = 3  # samples that most queries have
MOST_VOTES = 4  # backends with a vote plan, the cheapest first
MOST_SAMPLES = 16
# quality that one more vote must add where samples tell: the most thorough vote of a backend
LEAST_COST = 0.02
MARGIN_TOKENS = 64  # over the longest prompt that was recorded


def menu_of(recording: Recording, folder: Path, *, price: float = 0.0, seed: int = 0) -> Config:
    """The configuration; `folder` is where the recording is, `price` the shadow price (quality per dollar).

    The reference plan is the dearest backend alone.
    """
    by_cost = cheapest_first(recording)
    return Config(
        backends={name: _backend(recording, folder, name) for name in recording.backends},
        plans=tuple(_plans(recording, by_cost)),
        reference=by_cost[-1],
        policy="utility",
        price=price,
        seed=seed,
        store=StoreConfig(sqlite=":memory:", keep="off"),
    )


def cheapest_first(recording: Recording) -> list[str]:
    """Backends by the mean cost of their finished samples; those without any are left out."""
    seen = recording.columns
    cost = {}
    for place, name in enumerate(recording.backends):
        rows = (seen.backend == place) & seen.finished
        if rows.any():
            cost[name] = float(seen.cost[rows].mean())
    return sorted(cost, key=lambda name: (cost[name], name))


def comes_back(recording: Recording, backend: str) -> bool:
    """Whether anything of the backend's answers was recorded that a rule could look at."""
    seen = recording.columns
    rows = np.flatnonzero((seen.backend == recording.backends.index(backend)) & seen.finished)
    if (seen.answer[rows] >= 0).any():
        return True
    if any(bool(np.isfinite(column[rows]).any()) for column in (seen.mean_logprob, seen.confidence)):
        return True
    return any(recording.value(int(row), "text") for row in rows[:100])


def samples_each(recording: Recording, backend: str) -> int:
    """The number of finished samples that at least half of the backend's queries have."""
    seen = recording.columns
    rows = (seen.backend == recording.backends.index(backend)) & seen.finished
    count = np.bincount(seen.query[rows])
    return int(np.median(count[count > 0])) if rows.any() else 0


def _backend(recording: Recording, folder: Path, name: str) -> BackendConfig:
    seen, price = recording.columns, recording.prices[name]
    rows = (seen.backend == recording.backends.index(name)) & seen.finished
    longest = float(seen.tokens_out[rows].max()) if rows.any() else 1.0
    return BackendConfig(
        kind="recorded",
        recording=str(folder),
        price_in=price.price_in,
        price_out=price.price_out,
        max_tokens=max(1, int(np.ceil(longest))),
        template_tokens=MARGIN_TOKENS,
        logprobs=bool(np.isfinite(seen.mean_logprob[rows]).any()),
    )


def _plans(recording: Recording, by_cost: list[str]) -> Iterator[PlanConfig]:
    for name in by_cost:
        yield PlanConfig(name=name, stages=(StageConfig(backend=name),))
    cheapest, dearer = by_cost[0], by_cost[1:]
    for name in by_cost[:MOST_VOTES]:
        samples = min(MOST_SAMPLES, samples_each(recording, name))
        if samples >= ENOUGH_TO_VOTE and _votes(recording, name):
            yield PlanConfig(name=f"{name}-vote", stages=(_vote(name, samples, LEAST_COST),))
            for cost in _costs(len(by_cost)) if name == cheapest else ():
                yield PlanConfig(name=f"{name}-vote@{cost:g}", stages=(_vote(name, samples, cost),))
    if not comes_back(recording, cheapest):
        return
    for name in dearer:
        for threshold in _thresholds(len(by_cost)):
            first = StageConfig(backend=cheapest, stop={"kind": "confident", "threshold": threshold})
            yield PlanConfig(
                name=f"{cheapest}-to-{name}@{threshold:g}", stages=(first, StageConfig(backend=name))
            )


def _thresholds(backends: int) -> tuple[float, ...]:
    """Of the cascades' confidence; low ones are for prices at which the dearer backend must be much better."""
    if backends == 2:
        return (0.2, 0.4, 0.7)
    return (0.25, 0.6) if backends <= MOST_VOTES else (0.4,)


def _costs(backends: int) -> tuple[float, ...]:
    """Of further votes of the cheapest backend: what one more sample must add, for prices at which few are drawn."""
    if backends == 2:
        return (0.06, 0.15)
    return (0.1,) if backends <= MOST_VOTES else ()


def _votes(recording: Recording, backend: str) -> bool:
    """Whether its samples have answers that can be compared: free text is not voted on."""
    seen = recording.columns
    rows = (seen.backend == recording.backends.index(backend)) & seen.finished
    return comparable(seen.query[rows], answer_groups(recording)[rows])


def _vote(name: str, samples: int, cost: float) -> StageConfig:
    """`cost` is fixed: what heads learn of a plan whose rule follows the price holds at the price of the fit alone."""
    return StageConfig(
        backend=name,
        max_samples=samples,
        width=min(4, samples),
        stop={"kind": "value_of_next", "fixed_cost": cost},
        select="weighted",
    )
