"""A fit fills what plans leave open to the bundle, from what the recording or the log knows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from predictors.bundle_files import load_bundle
from predictors.exits import Exits
from predictors.learned_stops import LearnedStops, SelfEvalCurve, VoteStop
from router.config import Config
from router.configuration.build_plans import build_plans
from router.configuration.file import load
from router.domain.plan import Plan, Stage
from router.recording import Recording
from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording
from router.rollout.learned import learned
from router.selectors.majority import Majority
from router.stopping.learned_stop import FEATURES, LearnedStop
from router.stopping.never import Never
from router.stopping.self_eval import WORDS, SelfEval
from training.fit.from_recordings import fit
from training.fit.stops import columns_for, kept_from, with_self_evals
from training.log.read import DecisionLog

QUERIES, SAMPLES = 240, 12
KINDS = ((0.99, 0.01), (0.5, 0.5), (0.5, 0.5), (0.01, 0.99))  # no vote changes what is right in the end
ROUTER = """
[backends.cheap]
kind = "recorded"
recorded_as = "one"
recording = "world"
[[plans]]
name = "one"
stages = [{ backend = "cheap" }]
[[plans]]
name = "vote"
stages = [{ backend = "cheap", max_samples = 12, stop = "learned_stop" }]
[[plans]]
name = "own"
stages = [{ backend = "cheap", max_samples = 6, stop = { kind = "learned_stop", weights = [0,0,0,0,0,0,0,0,0] } }]
[[plans]]
name = "longer"
stages = [{ backend = "cheap", max_samples = 14, stop = "learned_stop" }]
"""


def world(folder: Path, flipped_from: int = QUERIES) -> Recording:
    """Two answers a query; from `flipped_from` on, rewards say the contrary."""
    rng = np.random.default_rng(0)
    rows = [
        (f"q{query:04d}", index, f"{query} is {kind}", float((kind == 0) == (query < flipped_from)))
        for query in range(QUERIES)
        for index, kind in enumerate(rng.choice(2, SAMPLES, p=KINDS[query % len(KINDS)]).tolist())
    ]
    ids, index, answer, reward = zip(*rows, strict=True)
    names = [f"q{query:04d}" for query in range(QUERIES)]
    samples = {
        "query_id": ids,
        "backend": ["one"] * len(ids),
        "sample_idx": pa.array(index, pa.int32()),
        "answer": answer,
        "reward": pa.array(reward, pa.float32()),
    }
    queries = pa.table({"query_id": names, "query": [f"number {query}" for query in range(QUERIES)]})
    write_recording(folder, RecordingMeta("world", {"one": Prices(1.0, 1.0)}), queries, pa.table(samples))
    return Recording.load(folder)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration, its recording, and the bundle fitted on 200 of the queries."""
    folder = tmp_path_factory.mktemp("stops")
    recording = world(folder / "world")
    (folder / "router.toml").write_text(ROUTER)
    fit([recording], asked_for(recording), load(folder / "router.toml"), 0, folder / "bundle")
    return folder


def asked_for(recording: Recording) -> list[str]:
    return [query.query_id for query in recording.queries[:200]]


def config_of(home: Path) -> Config:
    return load(home / "router.toml")


def test_a_plan_that_leaves_its_weights_open_is_fitted_and_served_with_them(home: Path) -> None:
    found = learned(home / "bundle", config_of(home), build_plans(config_of(home)))
    rule = found.plans["vote"].stages[0].stop
    assert isinstance(rule, LearnedStop)
    assert len(rule.weights) == len(FEATURES)
    assert rule.gain((3, 1), 8) < 0.05  # no vote changes anything here
    assert not found.degraded


def test_only_open_rules_with_as_many_recorded_samples_are_fitted(home: Path) -> None:
    config, bundle = config_of(home), load_bundle(home / "bundle")
    assert [(one.backend, one.most) for one in bundle.deciding.stops.votes] == [("cheap", 12)]
    found = learned(home / "bundle", config, build_plans(config)).plans
    assert found["own"] == build_plans(config)["own"]
    assert found["longer"].stages[0].stop == LearnedStop()


def test_the_card_says_what_held_out_queries_drew_and_lost_beside_what_needs_no_weights(home: Path) -> None:
    said = load_bundle(home / "bundle").card.metrics
    assert said["samples/learned_stop/cheap@12"] < said["samples/value_of_next/cheap@12"]
    assert said["points_lost/learned_stop/cheap@12"] <= 0.5
    assert "samples/learned_stop/cheap@14" not in said


def test_other_queries_than_those_named_are_not_looked_at(home: Path, tmp_path: Path) -> None:
    other = world(tmp_path / "world", flipped_from=200)
    card = fit([other], asked_for(other), config_of(home), 0, tmp_path / "bundle")
    assert card.version == load_bundle(home / "bundle").card.version


ASKS = {"asks": Plan("asks", (Stage("small", SelfEval(), Majority(), max_samples=4),))}
TOLD = {"asks": Plan("asks", (Stage("small", SelfEval(slope=2.0), Majority(), max_samples=4),))}
NEVER = {"asks": Plan("asks", (Stage("small", Never(), Majority(), max_samples=4),))}


def log_of(count: int) -> tuple[DecisionLog, np.ndarray]:
    """Decisions of one sample, right with 1 / (1 + exp(.8 - .6 log-odds of what it said))."""
    rng = np.random.default_rng(1)
    odds = rng.normal(0.5, 2.0, count)
    right = (rng.random(count) < 1 / (1 + np.exp(0.8 - 0.6 * odds))).astype(np.float64)
    kinds = [
        ("sample_id", pa.string()),
        ("stage", pa.int32()),
        ("backend", pa.string()),
        ("answer", pa.string()),
    ]
    sample = {"sample_id": "0.0", "stage": 0, "backend": "small", "answer": "4"}
    said = [[("self_eval/0.0", 1 / (1 + np.exp(-one)))] for one in odds.tolist()]
    table = pa.table(
        {
            "plan": ["asks"] * count,
            "answer": ["4"] * count,
            "samples": pa.array([[sample]] * count, pa.list_(pa.struct(kinds))),
            "signals": pa.array(said, pa.map_(pa.string(), pa.float64())),
        }
    )
    none = np.zeros(0, np.int64)
    return DecisionLog(table, None, none, none, 0, 0, 0.0), right


def test_what_models_say_of_their_samples_is_calibrated_from_the_log(home: Path) -> None:
    bundle = with_self_evals(load_bundle(home / "bundle"), *log_of(20_000), ASKS)
    (one,) = bundle.deciding.stops.asked
    assert (one.backend, one.words) == ("small", WORDS)
    assert [one.slope, one.shift] == pytest.approx([0.6, -0.8], abs=0.05)
    assert (one.slope, one.shift) == (round(one.slope, 2), round(one.shift, 2))
    assert bundle.card.metrics["brier_skill/self_eval/small"] > 0.1
    assert bundle.card.metrics["graded_samples/self_eval/small"] == 20_000
    assert bundle.deciding.stops.votes  # what was learned beside it stays


def test_too_few_graded_samples_calibrate_nothing(home: Path) -> None:
    bundle = with_self_evals(load_bundle(home / "bundle"), *log_of(40), ASKS)
    assert bundle.deciding.stops.asked == ()


@pytest.mark.parametrize(("plans", "wanted"), [(ASKS, ("signals",)), (TOLD, ()), (NEVER, ())])
def test_signals_are_read_only_for_plans_that_leave_their_calibration_open(
    home: Path, plans: dict[str, Plan], wanted: tuple[str, ...]
) -> None:
    assert columns_for(plans) == wanted
    bundle = with_self_evals(load_bundle(home / "bundle"), *log_of(200), plans)
    assert bool(bundle.deciding.stops.asked) == bool(wanted)


def test_a_bundle_of_the_log_keeps_what_only_recordings_teach(home: Path) -> None:
    before = load_bundle(home / "bundle")
    votes = (*before.deciding.stops.votes, VoteStop("gone", 4, (0.0,) * len(FEATURES), 0.0))
    before = replace(before, deciding=replace(before.deciding, stops=LearnedStops(votes)))
    curve = SelfEvalCurve("cheap", WORDS, 1.0, 0.0)
    new = replace(before, deciding=replace(before.deciding, stops=LearnedStops((), (curve,))))
    kept = kept_from(before, new).deciding
    assert kept.stops == LearnedStops(before.deciding.stops.votes[:1], (curve,))
    exits: tuple[Exits, ...] = kept.exits
    assert exits == before.deciding.exits
