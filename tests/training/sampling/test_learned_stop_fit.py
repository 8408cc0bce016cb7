"""The fit of `learned_stop` finds what was put in, stops where the serving rule does, and is guarded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from router.recording import Recording
from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording
from router.stopping.learned_stop import FEATURES, LearnedStop
from training.fit.learned_stop import LEASTS, fitted, guarded, offered, states
from training.sampling.candidates import Candidates
from training.sampling.known import Known
from training.sampling.problem import problems_of
from training.sampling.runs import Runs, runs_of
from training.sampling.split import Split
from training.suites.sampling.fixed import fixed


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Half of the queries are always answered alike, half are close races that the votes decide in the end."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("learned") / "world"
    kinds = [[0.99, 0.01, 0.0], [0.42, 0.3, 0.28]]
    rows = [
        (f"q{query:04d}", index, f"{query} is {kind}", float(kind == 0))
        for query in range(160)
        for index, kind in enumerate(rng.choice(3, 12, p=kinds[query % 2]).tolist())
    ]
    ids, index, answer, reward = zip(*rows, strict=True)
    write_recording(
        folder,
        RecordingMeta(name="world", prices={"one": Prices(1.0, 1.0)}),
        pa.table(
            {"query_id": [f"q{q:04d}" for q in range(160)], "query": [f"number {q}" for q in range(160)]}
        ),
        pa.table(
            {
                "query_id": ids,
                "backend": ["one"] * len(ids),
                "sample_idx": pa.array(index, pa.int32()),
                "answer": answer,
                "reward": pa.array(reward, pa.float32()),
            }
        ),
    )
    return runs_of(next(problems_of(Recording.load(folder), 0)), 6)


EVEN = np.full(160, 0.5)
ALL = np.ones(160, np.bool_)


def fixed_of(runs: Runs) -> Candidates:
    found = fixed(Known(runs, lambda split: None, lambda lattice: pytest.fail("not asked")))(Split(0, ALL))
    assert found is not None
    return found


def test_the_weights_expect_nothing_of_one_that_cannot_be_overtaken_and_much_of_a_race(runs: Runs) -> None:
    rule = LearnedStop(tuple(fitted(runs, states(runs), EVEN, ALL).tolist()))
    assert abs(rule.gain((8,), 4)) < 0.06
    assert rule.gain((2, 2, 1), 7) > 0.06


def test_the_simulation_stops_every_run_where_the_serving_rule_does(runs: Runs) -> None:
    rng = np.random.default_rng(1)
    weights, right = rng.normal(0, 0.05, len(FEATURES)), rng.uniform(0.05, 0.95, 160)
    found = offered(runs, right, weights, states(runs))
    for setting in (0, 8):
        rule, stops = LearnedStop(tuple(weights.tolist()), LEASTS[setting]), found.stops(setting, 0)
        for query in range(0, 160, 7):
            for drawn in range(1, int(stops[query]) + 1):
                votes = runs.votes[runs.state[0, query, drawn - 1]]
                gain = rule.gain(votes, runs.problem.most - drawn, float(right[query]))
                enough = gain <= rule.pays or drawn == runs.problem.most
                assert enough == (drawn == stops[query]), (query, drawn)


def test_where_the_votes_tell_the_guard_lets_it_pass_against_a_fixed_number(runs: Runs) -> None:
    found = guarded(runs, states(runs), EVEN, fixed_of(runs), ALL, 2.0)
    assert found.better and len(found.weights) == len(FEATURES)
    assert found.samples[0] < found.samples[1] - 1
    assert found.candidates.labels[0].startswith("least")


def test_against_one_who_knows_the_end_it_falls_back(runs: Runs) -> None:
    first = np.argmax(runs.right, axis=2) + 1
    oracle = Candidates.of(runs, ("oracle",), first[None])
    found = guarded(runs, states(runs), EVEN, oracle, ALL, 2.0)
    assert not found.better and found.weights == ()
    assert found.candidates is oracle


def test_the_guard_does_not_look_at_the_other_half(runs: Runs) -> None:
    half = np.arange(160) < 80
    right = runs.right.copy()
    right[:, ~half] = 1 - right[:, ~half]
    other = replace(runs, right=right)
    one, two = (guarded(each, states(each), EVEN, fixed_of(each), half, 2.0) for each in (runs, other))
    assert (one.weights, one.samples, one.better) == (two.weights, two.samples, two.better)
