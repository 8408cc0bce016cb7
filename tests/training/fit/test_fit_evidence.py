"""What samples say for themselves is believed where it tells more than the votes, and there alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from predictors.evidence import evidence
from predictors.learned_stops import LearnedStops
from predictors.observation import Message, Observation, Part, Query, Sample, Tally
from training.fit.evidence import Told, belief, with_belief
from training.fit.heads import Fitted, fit_held_out
from training.fit.rows import FitRows, LabelledSample

QUERIES, EACH = 150, 6


def rows_of_sums(*, telling: bool, seed: int = 0) -> FitRows:
    """Sums whose wrong results all say the same, so that votes are often wrong; a right one is worked out, if telling."""
    rng = np.random.default_rng(seed)
    samples, reward, both = [], np.zeros((QUERIES, 1)), np.zeros((QUERIES, 1))
    for query in range(QUERIES):
        one, other = rng.integers(2, 50, 2).tolist()
        right = rng.random(EACH) < rng.beta(1.0, 1.5)
        reward[query], total = right.mean(), right.sum()
        both[query] = total * (total - 1) / (EACH * (EACH - 1))
        for at, good in enumerate(right.tolist()):
            result = one + other if good else one + other + 3
            worked = good and telling
            text = (
                f"{one} + {other} = {result}\nSo it is {result}."
                if worked
                else f"I guess that it is {result}."
            )
            sample = Sample(
                f"{query}.{at}",
                "small",
                text,
                index=at,
                finish_reason="stop",
                answer=str(result),
                tokens_out=9,
            )
            samples.append(LabelledSample(query, sample, float(good)))
    texts = tuple(f"What do the numbers of line {query} make?" for query in range(QUERIES))
    tokens, ids = np.full((QUERIES, 1), 9.0), tuple((0, f"q{query}") for query in range(QUERIES))
    return FitRows(texts, ("small",), reward, both, tokens, tokens < 0, tuple(samples), ids=ids)


@pytest.fixture(scope="module")
def telling() -> Fitted:
    return fit_held_out(rows_of_sums(telling=True), per_fold=True)


def test_what_tells_is_believed_and_what_does_not_is_not(telling: Fitted) -> None:
    stops = with_belief(LearnedStops(), telling, 0)
    assert stops.belief("small") >= 0.5
    assert stops.belief("large") == 0.0
    silent = fit_held_out(rows_of_sums(telling=False), per_fold=True)
    assert with_belief(LearnedStops(), silent, 0).believed == ()
    assert (
        with_belief(LearnedStops(), replace(telling, samples=replace(telling.samples, folds={})), 0).believed
        == ()
    )


def test_noise_is_not_believed_however_loud() -> None:
    rng = np.random.default_rng(1)
    classes, right = rng.integers(0, 3, (300, 6)), rng.integers(0, 3, (300, 1))
    told = Told(
        classes, (classes == right).astype(float), rng.normal(0, 1.0, (300, 6)), np.full((300, 2), 0.7)
    )
    assert belief(told) == 0.0
    clear = replace(told, full=np.where(classes == right, 1.0, -1.0) + rng.normal(0, 0.5, (300, 6)))
    assert belief(clear) > 0.5


def test_a_bundle_says_it_of_every_sample_as_if_it_were_the_only_one(telling: Fitted) -> None:
    bundle = telling.bundle
    stops = replace(bundle.deciding.stops, believed=(("small", 0.75),))
    bundle = replace(bundle, deciding=replace(bundle.deciding, stops=stops))
    query = Query("r", (Message("user", (Part(text="What do the numbers of line 7 make?"),)),))
    look = bundle.look(query)
    sample = Sample(
        "0.1", "small", "3 + 4 = 7\nSo it is 7.", finish_reason="stop", answer="7", answer_class=1
    )
    second = Observation(query, (sample,), 0, Tally((1, 1), ("8", "7"), 2), 4)
    alone = Observation(query, (replace(sample, answer_class=0),), 0, Tally((1,), ("7",), 1), 4)
    said, first = bundle.confidence(second, look), bundle.confidence(alone, look)
    assert said["evidence/0.1"] == first["evidence/0.1"]
    prior = look.signals["p_correct/small"]
    assert first["evidence/0.1"] == evidence(first["sample_confidence"], prior, 0.75)
    silent = replace(bundle, deciding=replace(bundle.deciding, stops=LearnedStops()))
    assert "evidence/0.1" not in silent.confidence(second, look)
