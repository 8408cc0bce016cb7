"""What one decision takes of a processor, in this process: features, heads, policy, and the rest.

A decision is `Books.begin`: mode, limits, budget, look, forecasts, feasibility, policy, draw. Processor time of the
thread, so that what else runs on the machine costs cache misses and nothing more.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from predictors.bundle import Bundle
from predictors.observation import Message, Part, Query
from router.allocation.books import Books
from router.assemble import assemble
from router.configuration.file import load
from router.domain.choice import Situation
from router.domain.options import Options
from router.first_decision.feasible import Limits
from training.errors import TrainingError
from training.figures.spread import Spread, spread
from training.suites.serving.prompts import Turn, prompts, words

T = TypeVar("T")

QUERIES = 300
PASSES = 7  # the first is thrown away
USUAL_WORDS = 60


@dataclass(frozen=True, slots=True)
class DecisionCost:
    """Microseconds per decision, by part."""

    parts: dict[str, list[float]]  # figure -> one mean per pass

    def figures(self) -> dict[str, Spread | float]:
        """With intervals over the passes."""
        found = {name: spread([[value] for value in values]) for name, values in self.parts.items()}
        return {name: value for name, value in found.items() if value is not None}


async def decision_cost(config: Path, seed: int) -> DecisionCost:
    """Measure over prompts of the suite, and once more over queries of 60 words."""
    service = assemble(load(config), base=config.parent)
    try:
        books = service.allocator.books
        bundle = books.chooser.predictions
        if not isinstance(bundle, Bundle):
            raise TrainingError(f"serving: {config} is served without its bundle, or with changed plans")
        mixed, usual = queries(prompts(seed)), queries(words(seed, USUAL_WORDS))
        found: dict[str, list[float]] = {}
        for turn in range(PASSES):
            one = _parts(books, bundle, mixed)
            one["decision_cpu_us.60_words"] = _mean_us(lambda query: books.begin(query, Options()), usual)
            if turn:
                for name, value in one.items():
                    found.setdefault(name, []).append(value)
        return DecisionCost(found)
    finally:
        await service.close()


def queries(turns: Iterator[tuple[Turn, ...]], count: int = QUERIES) -> list[Query]:
    """The first ones, as the server sees them."""
    return [
        Query(str(number), tuple(Message(role, (Part(text=text),)) for role, text in one))
        for number, one in enumerate(itertools.islice(turns, count))
    ]


def _parts(books: Books, bundle: Bundle, asked: Sequence[Query]) -> dict[str, float]:
    chooser, limits = books.chooser, Limits()
    whole = _mean_us(lambda query: books.begin(query, Options()), asked)
    seen = [bundle.featurizer(query) for query in asked]
    features = _mean_us(bundle.featurizer, asked)
    heads = _mean_us(lambda one: bundle.name(*bundle.query_heads.predict(one)), seen)
    situations = []
    for query in asked:
        chosen = chooser.choose(query, limits)
        situations.append(Situation(chosen.forecasts, chosen.look.signals, chosen.price, 0.0))
    policy = _mean_us(chooser.policy.probabilities, situations)
    return {
        "decision_cpu_us": whole,
        "decision_cpu_us.features": features,
        "decision_cpu_us.heads": heads,
        "decision_cpu_us.policy": policy,
        "decision_cpu_us.rest": math.fsum((whole, -features, -heads, -policy)),
    }


def _mean_us(work: Callable[[T], object], items: Sequence[T]) -> float:
    began = time.thread_time()
    for item in items:
        work(item)
    return 1e6 * (time.thread_time() - began) / len(items)
