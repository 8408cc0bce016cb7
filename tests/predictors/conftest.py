"""Queries whose difficulty is known, and a bundle fitted on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from predictors.observation import Sample
from training.fit.heads import fit_held_out
from training.fit.rows import FitRows, LabelledSample


@dataclass(frozen=True)
class World:
    """`rows` to fit on; `truth` (n, 2): P(a sample is right) of the small and the large backend."""

    rows: FitRows
    truth: np.ndarray


def make_world(count: int, seed: int, draws: int = 1) -> World:
    """Hard queries mention primes, of the others some mention rivers; large is right on primes more often than small.

    A right sample is mostly certain (`mean_logprob` near 0), a wrong one mostly not, and says another answer.
    """
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, count)
    words = ("prime factors of the number", "longest river in the country", "capital city of the country")
    texts = tuple(f"Tell me the {words[k]} {rng.integers(10_000)} please?" for k in kind)
    truth = np.array([[0.2, 0.7], [0.6, 0.65], [0.9, 0.92]])[kind]
    spread = 6.0  # pass rates of queries of one kind differ: Beta(6 p, 6 (1 - p))
    rates = rng.beta(spread * truth, spread * (1 - truth))
    right = (rng.random((count, 2, draws)) < rates[:, :, None]).astype(float)
    both = np.full((count, 2), np.nan)
    if draws > 1:
        total = right.sum(axis=2)
        both = total * (total - 1) / (draws * (draws - 1))
    samples = []
    for query in range(count):
        for place, backend in enumerate(("small", "large")):
            for draw in range(draws):
                good = right[query, place, draw]
                certain = rng.random() < (0.85 if good else 0.25)
                # 42 is not always right
                answer = "42" if good or rng.random() < 0.3 else f"{rng.integers(5)}"
                sample = Sample(
                    f"{draw}", backend, f"It is {answer}.", index=draw, finish_reason="stop", tokens_out=20,
                    mean_logprob=-0.1 if certain else -1.5, answer=answer,
                )  # fmt: skip
                samples.append(LabelledSample(query, sample, float(good)))
    tokens = (
        np.where(kind == 0, 400.0, 50.0)[:, None] * np.array([1.0, 2.0]) * rng.uniform(0.8, 1.2, (count, 2))
    )
    rows = FitRows(
        texts, ("small", "large"), right.mean(axis=2), both, tokens, np.zeros((count, 2), dtype=bool), tuple(samples),
        {"queries": float(count)}, tuple((0, f"q{query}") for query in range(count)),
    )  # fmt: skip
    return World(rows, truth)


@pytest.fixture(scope="session")
def world():
    return make_world(1500, 0, draws=2)


@pytest.fixture(scope="session")
def bundle(world):
    return fit_held_out(world.rows, 5).bundle


@pytest.fixture(scope="session")
def fresh():
    """Queries of the same world that nothing was fitted on."""
    return make_world(600, 1, draws=2)
