"""The simulation of budgets on worlds whose truth is known: what must hold holds, and what cannot be is not claimed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from router.recording import Recording
from router.recordings.cost import Prices
from router.recordings.format import QUERIES, SAMPLES, write_recording
from training.errors import TrainingError
from training.figures.spread import Spread
from training.run_suite import Skipped, run_suite, to_json
from training.simulate import simulate
from training.suites import Run
from training.suites.budget.day_before import typical_at_any_time, typical_of_a_day
from training.suites.budget.hindsight import best_fixed, budget_for, knapsack
from training.suites.budget.measure import measure, play
from training.suites.budget.scenarios import SCENARIOS, traffic_of
from training.suites.budget.suite import Budget
from training.suites.budget.world import World

SCALE = 0.25  # of the suite's number of queries


def made_world(seed: int = 0, queries: int = 400) -> World:
    """Three plans; what the dear ones gain differs from query to query, and is known but for chance."""
    rng = np.random.default_rng(seed)
    easy = rng.random(queries)
    gain = rng.random(queries) * (1 - easy)
    quality = np.stack([easy, easy + 0.6 * gain, easy + gain], axis=1)
    cost = np.stack([np.full(queries, one) for one in (50.0, 300.0, 1500.0)], axis=1)
    cost *= rng.lognormal(0, 0.3, size=(queries, 1))
    reward = (rng.random((queries, 1)) < quality).astype(np.float64)
    paid = np.ceil(cost * rng.lognormal(0, 0.3, size=cost.shape)).astype(np.int64)
    return World(("cheap", "middle", "dear"), quality, cost, reward, paid, quality[:200], cost[:200])


@pytest.fixture(scope="module")
def world() -> World:
    return made_world()


@pytest.fixture(scope="module")
def found(world) -> dict[str, dict[str, float]]:
    drifting = ("drifting", "drifting:first_day", "drifting:reversed")
    short = ("steady", "diurnal", "bursty", *drifting, "replicas8", "outage", "lowered")
    return {name: measure(world, name, 1, SCALE) for name in short} | {
        "heavy_tail": measure(world, "heavy_tail", 1)
    }


def test_prices_begin_with_queries_from_all_over_a_recording_that_is_in_order(world):
    cost = np.stack([np.linspace(10.0, 1000.0, 4000), np.full(4000, 5000.0)], axis=1)
    quality = np.full((4000, 2), [0.5, 0.9])
    ordered = replace(world, typical_quality=quality, typical_cost=cost)
    least = [offer.least for offer in typical_at_any_time(ordered).offers]
    assert np.mean(least) == pytest.approx(505.0, rel=0.1)
    assert np.std(least) == pytest.approx(np.std(cost[:, 0]), rel=0.1)


def test_the_day_before_is_of_other_queries_and_drifts_as_the_day_or_the_other_way(world):
    other = replace(world, typical_cost=np.full_like(world.typical_cost, 77.0))
    at = np.sort(np.random.default_rng(0).random(3000))
    for backwards in (False, True):
        rng = np.random.default_rng(1)
        typical = typical_of_a_day(world, at, rng, drifts=True, backwards=backwards)
        gain = np.array([sum(worth * more for worth, more in offer.steps) for offer in typical.offers])
        late = np.array(typical.hours) >= 12
        assert (gain[late].mean() > gain[~late].mean()) != backwards
        assert len(typical.busy) == 24 and sum(typical.busy) == pytest.approx(1.0)
    steady = typical_of_a_day(other, at, np.random.default_rng(1), drifts=False, backwards=False)
    assert {offer.least for offer in steady.offers} == {77.0}


def test_a_day_that_drifts_like_the_one_before_loses_less_and_one_that_does_not_hardly_more(world):
    names = ("drifting", "drifting:first_day", "drifting:reversed")
    alike, first, other = (
        np.mean([measure(world, name, seed, SCALE)["regret"] for seed in range(2)]) for name in names
    )
    assert alike < first - 0.003
    assert other < first + 0.005


def test_nothing_is_ever_overspent(found):
    assert {name: one["overspend"] for name, one in found.items()} == dict.fromkeys(found, 0.0)


@pytest.mark.parametrize("name", ["steady", "diurnal", "bursty", "drifting"])
def test_one_replica_leaves_little_unspent(found, name):
    assert found[name]["utilisation"] > 0.97


def test_eight_replicas_leave_little_unspent(found):
    assert found["replicas8"]["utilisation"] > 0.95


def test_a_worst_case_far_above_the_mean_does_not_starve_the_pace(found):
    assert found["heavy_tail"]["utilisation"] > 0.9


@pytest.mark.parametrize("name", ["steady", "diurnal", "bursty", "drifting", "replicas8"])
def test_the_price_loses_little_against_the_best_fixed_one_in_hindsight(found, name):
    assert found[name]["regret"] < 0.03


@pytest.mark.parametrize(
    "name", ["steady", "diurnal", "bursty", "drifting", "replicas8", "heavy_tail", "outage"]
)
def test_most_of_what_spending_until_nothing_is_left_loses_is_not_lost(found, name):
    assert found[name]["loss_avoided"] > 0.6


def test_while_the_store_is_away_what_is_in_hand_serves_a_good_part_of_the_queries(found):
    scenario = SCENARIOS["outage"]
    assert found["outage"]["refused"] < 0.75 * (scenario.away[1] - scenario.away[0])


def test_nobody_beats_the_knapsack(found):
    assert all(one["below_knapsack"] > 0 for one in found.values() if "below_knapsack" in one)


def test_after_a_lowering_no_more_is_spent_than_was_spent_and_reserved(world):
    scenario = replace(SCENARIOS["lowered"], lowered=(0.5, 0.2))
    traffic = traffic_of(scenario, world, np.random.default_rng(1), SCALE)
    limit = budget_for(world, traffic.row, 0.35)
    result = play(world, scenario, traffic, limit, 1)
    assert result.limit < result.spent <= result.bound < limit


def test_equal_seeds_give_equal_figures(world, found):
    assert measure(world, "outage", 1, SCALE) == found["outage"]


def test_a_fixed_price_spends_what_hindsight_says(world):
    scenario = replace(SCENARIOS["steady"], worst=1.0)
    traffic = traffic_of(scenario, world, np.random.default_rng(2), SCALE)
    price, earned = best_fixed(world, traffic.row, budget_for(world, traffic.row, 0.4))
    result = play(world, scenario, traffic, 10**12, 2, price)
    assert result.quality == pytest.approx(earned)


def test_the_knapsack_of_two_queries_is_worked_out_by_hand():
    one = np.array([[1.0, 1.0], [1.0, 1.0]])
    paid = np.array([[100, 300], [100, 300]])
    reward = np.array([[0.5, 0.9], [0.5, 0.6]])
    world = World(("a", "b"), one, one, reward, paid, one, one)
    # 200 buy .5 twice; of the 150 left, 150 of the 200 that buy .4 more
    assert knapsack(world, np.array([0, 1]), 350) == pytest.approx(1.0 + 0.4 * 0.75)


def test_the_knapsack_takes_what_is_free():
    one = np.array([[1.0, 1.0], [1.0, 1.0]])
    paid = np.array([[0, 300], [0, 300]])
    world = World(("a", "b"), one, one, np.array([[0.5, 0.9], [0.5, 0.6]]), paid, one, one)
    assert knapsack(world, np.array([0, 1]), 0) == pytest.approx(1.0)
    assert knapsack(world, np.array([0, 1]), 150) == pytest.approx(1.0 + 0.4 / 2)


def test_where_no_answer_is_right_nothing_is_said_of_lost_quality(world):
    found = measure(replace(world, reward=np.zeros_like(world.reward)), "steady", 1, SCALE)
    assert found["overspend"] == 0 and not {"regret", "below_knapsack", "loss_avoided"} & set(found)


def test_where_the_plans_that_are_wanted_are_free_nothing_is_said_of_unspent_money(world):
    found = measure(replace(world, cost=0 * world.cost, paid=0 * world.paid), "steady", 1, SCALE)
    assert found["overspend"] == 0 and found["refused"] == 0 and "utilisation" not in found


def test_a_budget_below_the_cheapest_plans_has_no_best_price(world):
    with pytest.raises(TrainingError, match="do not cover even the cheapest"):
        best_fixed(world, np.arange(10), 10)


@pytest.fixture(scope="module")
def pattern(made: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = made.write_pattern(tmp_path_factory.mktemp("budget") / "pattern", 150)
    return folder


def test_the_suite_runs_on_a_recording_and_says_so_in_json(pattern):
    suite = Budget(("steady", "outage"), 0.1)
    figures = suite.run(Recording.load(pattern), pattern, Run(seeds=1, workers=1))
    told = to_json({"pattern": figures})["pattern"]
    assert set(told) == {"steady", "outage"}
    assert set(told["steady"]["utilisation"]) == {"mean", "sd", "lo", "hi"}
    assert isinstance(figures["outage"]["overspend"], Spread) and figures["outage"]["overspend"].mean == 0


def test_a_recording_whose_answers_are_free_is_skipped(pattern, tmp_path):
    recording = Recording.load(pattern)
    free = replace(recording.meta, prices=dict.fromkeys(recording.backends, Prices(0.0, 0.0)))
    tables = [pq.read_table(pattern / name) for name in (QUERIES, SAMPLES)]
    write_recording(tmp_path / "free", free, *tables)
    outcome = run_suite("budget", [tmp_path / "free"], Run(workers=1))["free"]
    assert isinstance(outcome, Skipped) and "are free" in outcome.why


def test_every_scenario_is_told_before_it_is_played(pattern):
    told: list[tuple[str, float]] = []
    run = Run(workers=1, progress=lambda what, share: told.append((what, share)))
    Budget(("steady", "bursty"), 0.05).run(Recording.load(pattern), pattern, run)
    assert told == [("seed 0, steady", 0.0), ("seed 0, bursty", 0.5), ("seed 0", 1.0)]


def test_a_recording_without_two_backends_is_skipped(made, tmp_path):
    folder = made.write_pattern(tmp_path / "bare", 60, rewards=False)
    outcome = run_suite("budget", [folder], Run(workers=1))["bare"]
    assert isinstance(outcome, Skipped)


def test_simulate_tells_spending_and_prices(pattern, capsys):
    simulate(pattern, scenario="steady", queries=300, dollars=0.02)
    said = capsys.readouterr().out
    assert "budget $0.0200" in said and "price (quality per dollar) over the window" in said


def test_simulate_tells_a_window_in_which_the_free_backend_is_the_best(pattern, tmp_path, capsys):
    """No money is wanted, so that there is no share of it that was spent."""
    recording = Recording.load(pattern)
    prices = {"small": Prices(2.0, 2.0), "large": Prices(0.0, 0.0)}
    queries, samples = (pq.read_table(pattern / name) for name in (QUERIES, SAMPLES))
    right = pa.array([float(name == "large") for name in samples["backend"].to_pylist()], pa.float32())
    samples = samples.set_column(samples.column_names.index("reward"), "reward", right)
    write_recording(tmp_path / "best", replace(recording.meta, prices=prices), queries, samples)
    simulate(tmp_path / "best", scenario="steady", queries=60)
    assert "budget $0.0000, spent $0.0000\n" in capsys.readouterr().out


def test_simulate_refuses_a_scenario_that_needs_more_replicas(pattern):
    with pytest.raises(TrainingError, match="needs 2"):
        simulate(pattern, scenario="outage", replicas=1)
