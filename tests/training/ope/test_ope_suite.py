"""The suite `ope` on a made-up world and on the recording that ships."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import training
from router.recording import Recording
from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording
from training.errors import NotEnoughData
from training.figures.spread import Spread
from training.off_policy import ESTIMATORS
from training.off_policy.estimate import estimate
from training.suites import Run
from training.suites.ope.bound import full_information
from training.suites.ope.log import draw_log, explored, one_hot
from training.suites.ope.measure import BOUND, figures, over_bound, play
from training.suites.ope.reference import by_vowpal_wabbit
from training.suites.ope.suite import OffPolicy
from training.suites.ope.world import evenly_by_cost, price_at_cost, world_of

HOUSE = Path(training.__file__).parent / "recordings" / "house"


def test_the_log_is_drawn_as_its_probabilities_say(world):
    logging = explored(one_hot(world.base, 2), 0.3)
    drawn = draw_log(world, logging, 40_000, np.random.default_rng(0))
    other = drawn.logged.action != world.base[drawn.query]
    assert other.mean() == pytest.approx(0.15, abs=0.006)
    assert drawn.logged.propensity[other] == pytest.approx(0.15)
    assert drawn.logged.propensity[~other] == pytest.approx(0.85)


def test_a_row_earns_one_of_its_cells_samples(world):
    drawn = draw_log(world, one_hot(world.base, 2), 40_000, np.random.default_rng(0))
    earned = np.bincount(drawn.query, drawn.logged.reward) / np.bincount(drawn.query)
    expected = world.reward[np.arange(len(world)), world.base]
    assert np.abs(earned - expected).mean() < 0.05
    assert drawn.logged.reward.mean() == pytest.approx(expected.mean(), abs=0.01)


def test_six_backends_of_ten_are_evenly_spaced_by_cost():
    cost = np.array([5.0, 0, 9, 1, 8, 2, 7, 3, 6, 4])
    assert sorted(cost[evenly_by_cost(cost)]) == [0, 2, 4, 5, 7, 9]
    assert evenly_by_cost(np.array([3.0, 1])).tolist() == [0, 1]


def test_lambda_is_the_least_price_at_which_the_limit_is_kept():
    quality = np.tile([[0.5, 0.9]], (10, 1)) + np.linspace(0, 0.09, 10)[:, None] * [0, 1]
    cost = np.tile([[1.0, 3.0]], (10, 1))
    price = price_at_cost(quality, cost, 2.0)  # half of the queries may take the dear one
    taken = quality[:, 1] - quality[:, 0] > 2 * price
    assert taken.sum() == 5
    assert price_at_cost(quality, cost, 3.0) == 0
    cheapest = price_at_cost(quality, cost, 0.5)  # out of reach: all but none take the cheap one
    assert (quality[:, 1] - quality[:, 0] > 2 * cheapest).sum() == 0
    assert cheapest < 1


def test_full_information_never_sees_the_query_that_it_predicts(world):
    nonsense = np.random.default_rng(0).integers(0, 2, world.reward.shape).astype(np.float64)
    blind = full_information(replace(world, reward=nonsense), 0)
    assert np.mean((blind - nonsense) ** 2) > 0.24  # a coin's variance


def test_estimates_cover_and_the_default_is_near_the_bound(world):
    said = play(world, full_information(world, 0), 0.3, 1500, range(150), seed=0)
    found = figures(said["default"], 1500)
    assert 0.9 <= number(found["coverage@1500"]) <= 0.99
    assert number(found["width@1500"]) <= 4.5 * number(found["rmse@1500"])
    assert found["refused@1500"] == 0
    assert over_bound(said, "default") <= 1.1
    assert said["default"].rmse <= 1.02 * min(said["snips"].rmse, said["dr"].rmse)
    assert over_bound(said, BOUND) == 1


def test_a_log_with_hardly_any_useful_row_is_refused_and_counted(world):
    found = figures(play(world, world.reward, 0.01, 500, range(5), seed=0)["default"], 500)
    assert found["refused@500"] == 1
    assert "coverage@500" not in found


def test_estimates_agree_with_those_of_vowpal_wabbit_on_the_same_log(world):
    """Its self-normalised estimate is the ratio of two of its own; its doubly robust model is another than ours."""
    drawn = draw_log(world, explored(one_hot(world.base, 2), 0.3), 3000, np.random.default_rng(5))
    choice = world.target[drawn.query]
    theirs = by_vowpal_wabbit(drawn.logged, choice)
    ours = {name: estimate(drawn.logged, one_hot(choice, 2), estimator=name) for name in theirs}
    assert ours["ips"].value == pytest.approx(theirs["ips"], rel=1e-5)
    assert ours["snips"].value == pytest.approx(theirs["snips"], rel=1e-5)
    error = ours["dr"].interval.standard_error
    assert abs(ours["dr"].value - theirs["dr"]) < error
    assert abs(ours["dr"].value - theirs["ips"]) > 0  # it did look at the features


def test_the_suite_prints_every_figure_on_the_recording_that_ships():
    suite = OffPolicy(sizes=(500, 1000), runs=4)
    found = suite.run(Recording.load(HOUSE), HOUSE, Run(workers=1))
    assert set(found) == {f"{name}@{epsilon}" for name in ESTIMATORS for epsilon in ("0.1", "0.3")}
    shape = {f"{name}@{n}" for name in ("bias", "rmse", "coverage", "width", "refused") for n in (500, 1000)}
    assert set(found["default@0.3"]) == shape | {"rmse_over_bound@1000", "left_out"}
    assert number(found["ips@0.1"]["agreement"]) < 0.01


def test_a_recording_is_split_and_both_policies_are_of_use(house):
    assert house.backends == ("small", "large")
    assert len(house) == pytest.approx(0.65 * 1260, abs=60)
    assert 0.2 < (house.target == house.base).mean() < 0.8
    rows = np.arange(len(house))
    assert house.truth > house.reward.mean()  # it knows something
    assert house.cost[rows, house.target].mean() < 0.65 * house.cost[:, 1].mean()


def test_one_backend_alone_has_nothing_to_evaluate(tmp_path):
    with pytest.raises(NotEnoughData):
        world_of(_only_small(tmp_path), 0)


def test_texts_that_are_all_alike_cannot_be_split(tmp_path):
    with pytest.raises(NotEnoughData, match="all in one part"):
        world_of(_made(tmp_path, text="the same question", rewards=(0.0, 1.0)), 0)


def test_where_every_answer_is_right_what_has_no_meaning_is_left_out(tmp_path):
    recording = _made(tmp_path, text="question {}", rewards=(1.0, 1.0))
    found = OffPolicy(sizes=(200,), runs=2).run(recording, tmp_path, Run(workers=1))
    assert number(found["default@0.3"]["rmse@200"]) == 0
    assert "rmse_over_bound@200" not in found["default@0.3"]


def number(value: Spread | float) -> float:
    return value.mean if isinstance(value, Spread) else value


def _made(folder: Path, text: str, rewards: tuple[float, float]) -> Recording:
    """300 queries, a sample of each of two backends with their rewards."""
    import pyarrow as pa

    ids = [f"q{place}" for place in range(300)]
    samples = pa.table(
        {
            "query_id": ids * 2,
            "backend": ["small"] * 300 + ["large"] * 300,
            "sample_idx": pa.array([0] * 600, pa.int32()),
            "answer": ["1"] * 600,
            "reward": pa.array([rewards[0]] * 300 + [rewards[1]] * 300, pa.float32()),
            "tokens_in": pa.array([9] * 600, pa.int32()),
            "tokens_out": pa.array([5] * 600, pa.int32()),
        }
    )
    prices = {"small": Prices(1.0, 1.0), "large": Prices(5.0, 5.0)}
    queries = pa.table({"query_id": ids, "query": [text.format(place) for place in range(300)]})
    write_recording(folder, RecordingMeta(name="made", prices=prices), queries, samples)
    return Recording.load(folder, verify=False)


def _only_small(folder: Path) -> Recording:
    import json

    import pyarrow.compute
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(HOUSE / "samples.parquet")
    kept = table.filter(pyarrow.compute.equal(table["backend"], "small"))
    pyarrow.parquet.write_table(kept, folder / "samples.parquet")
    (folder / "queries.parquet").write_bytes((HOUSE / "queries.parquet").read_bytes())
    meta = json.loads((HOUSE / "meta.json").read_text())
    meta["backends"] = {"small": meta["backends"]["small"]}
    (folder / "meta.json").write_text(json.dumps(meta))
    return Recording.load(folder, verify=False)
