"""What is kept of predictions while plans are replayed on one query."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from predictors import Look
from predictors.observation import Message, Observation, Part, Query, Sample, Tally
from router.configuration.build_plans import build_plans
from router.configuration.file import load
from training import plan_outcomes
from training.cached_predictions import CachedPredictions

ROUTER = """
[backends.small]
kind = "recorded"
recording = "made"
[backends.large]
kind = "recorded"
recording = "made"
[[plans]]
name = "small"
stages = [{ backend = "small" }]
[[plans]]
name = "careful"
stages = [{ backend = "small", stop = { kind = "confident", threshold = 0.5 } }, { backend = "large" }]
[[plans]]
name = "vote"
stages = [{ backend = "small", max_samples = 2, stop = "never", select = "majority" }]
"""


class Counted:
    """Predictions that count what they are asked; unsure of every second query."""

    version = "counted"

    def __init__(self) -> None:
        self.looks: list[str] = []
        self.judged: list[tuple[str, str, int]] = []

    def look(self, query: Query) -> Look:
        self.looks.append(query.request_id)
        return Look({"p_correct/small": 0.5})

    def confidence(self, seen: Observation, look: Look) -> Mapping[str, float]:
        latest = seen.latest
        assert latest is not None
        self.judged.append((seen.query.request_id, latest.sample_id, seen.tally.drawn))
        return {"sample_confidence": float(len(seen.query.text) % 2)}


def query(name: str) -> Query:
    return Query(name, (Message("user", (Part(text=name),)),))


def seen(name: str, *samples: Sample, drawn: int = 1) -> Observation:
    return Observation(query(name), samples, tally=Tally((drawn,), ("7",), drawn))


@pytest.fixture
def replayed(made, record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    record(tmp_path / "made", 12, draws=2)
    (tmp_path / "router.toml").write_text(ROUTER)
    config = load(tmp_path / "router.toml")
    ids = [one.query_id for one in made.queries[:12]]

    def run(*, kept: bool) -> tuple[Counted, plan_outcomes.PlanOutcomes]:
        if not kept:
            monkeypatch.setattr(plan_outcomes, "cache_predictions", lambda service: None)
        counted = Counted()
        plans = list(build_plans(config).values())
        return counted, plan_outcomes.replay_plans(config, made, ids, plans, counted)

    return run


def test_plans_give_the_same_whether_predictions_are_kept_or_asked_again(replayed) -> None:
    kept, asked = replayed(kept=True)[1], replayed(kept=False)[1]
    assert np.array_equal(kept.reward, asked.reward, equal_nan=True)
    assert np.array_equal(kept.samples, asked.samples)


def test_a_query_is_looked_at_once_for_all_of_its_plans(replayed) -> None:
    looks = replayed(kept=True)[0].looks
    assert len(looks) == len(set(looks)) == 12


def test_the_first_sample_is_judged_once_for_all_plans_that_begin_with_it(replayed) -> None:
    judged = replayed(kept=True)[0].judged
    assert len(judged) == len(set(judged))


def test_the_same_sample_among_other_votes_is_judged_again() -> None:
    counted = Counted()
    kept, sample = CachedPredictions(counted), Sample("0.0", "small", "so 7")
    look = kept.look(query("one"))
    for drawn in (1, 2, 2):
        kept.confidence(seen("one", sample, drawn=drawn), look)
    assert [drawn for *_, drawn in counted.judged] == [1, 2]


def test_another_query_is_judged_by_its_own() -> None:
    counted = Counted()
    kept, sample = CachedPredictions(counted), Sample("0.0", "small", "so 7")
    said = [kept.confidence(seen(name, sample), kept.look(query(name))) for name in ("odd", "even", "odd")]
    assert [one["sample_confidence"] for one in said] == [1.0, 0.0, 1.0]


def test_a_sample_that_grows_says_nothing_where_predictions_know_no_traces() -> None:
    assert CachedPredictions(Counted()).growing(seen("one", Sample("0.0", "small", "so"))) == {}
