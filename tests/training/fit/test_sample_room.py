"""Which samples are fitted on, where there are more than there is room for."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from predictors.observation import Sample
from router.config import Config, PlanConfig, StageConfig
from training.fit.from_recordings import judged
from training.fit.rows import FitRows, LabelledSample
from training.sample_rows import sample_rows

BACKENDS = ("a", "b", "c", "d")
COUNT = 1000


def drawn(most: int, first: tuple[str, ...]) -> Counter[str]:
    blank = np.full((COUNT, 4), np.nan)
    samples = tuple(
        LabelledSample(query, Sample(f"{query}", backend, "4", finish_reason="stop", answer="4"), 1.0)
        for query in range(COUNT)
        for backend in BACKENDS
    )
    rows = FitRows(tuple(map(str, range(COUNT))), BACKENDS, blank, blank, blank, blank > 0, samples)
    half = np.full((COUNT, 4), 0.5)
    made = sample_rows(
        rows, half, half, np.arange(COUNT) % 5, np.random.default_rng(0), most=most, first=first
    )
    return Counter(samples[number].sample.backend for number in made.number.tolist())


def test_backends_that_are_judged_get_half_of_the_room_and_the_others_share_the_rest():
    found = drawn(1200, ("b",))
    assert found["b"] == pytest.approx(600, abs=60)
    assert [found[name] for name in "acd"] == pytest.approx([200] * 3, abs=60)


def test_a_backend_with_fewer_samples_than_half_of_the_room_gives_all_of_them():
    found = drawn(3000, ("b",))
    assert found["b"] == COUNT
    assert sum(found.values()) == pytest.approx(3000, abs=120)


@pytest.mark.parametrize("first", [(), BACKENDS, ("nobody",)])
def test_where_nobody_comes_first_all_are_drawn_alike(first):
    assert [drawn(2000, first)[name] for name in BACKENDS] == pytest.approx([500] * 4, abs=70)


def test_more_than_half_may_be_theirs_where_they_are_most():
    assert sum(drawn(2000, ("a", "b", "c"))[name] for name in "abc") == pytest.approx(1500, abs=100)


def test_judged_are_backends_that_a_plan_goes_on_from_or_draws_several_samples_of():
    def plan(name: str, *stages: StageConfig) -> PlanConfig:
        return PlanConfig(name, stages)

    plans = (
        plan("alone", StageConfig("a")),
        plan("cascade", StageConfig("b"), StageConfig("a")),
        plan("vote", StageConfig("c", max_samples=4)),
    )
    assert judged(Config(backends={}, plans=plans)) == frozenset({"b", "c"})
    assert judged(Config(backends={}, plans=plans[:1])) is None
    assert judged(None) is None
