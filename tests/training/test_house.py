"""The house recording is whole, honest about where it comes from, and hard enough to be worth routing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from router.recording import Recording
from training.collect.queries import CollectedQuery
from training.errors import TrainingError
from training.grade import grade
from training.house import PER_KIND, PROMPTS, SEED, SHIPPED, STAGES, backend_option, complete_keys, ship
from training.house import house as house_command
from training.workload import KINDS
from training.workload.generate import workload

BACKENDS = ("small", "large", "small-step", "large-step")
PROMPTED = SHIPPED.with_name(SHIPPED.name + PROMPTS)


@pytest.fixture(scope="module")
def house() -> Recording:
    return Recording.load(SHIPPED)


def pass_rates(house: Recording, backend: str) -> np.ndarray:
    """Mean reward per query, NaN where the backend was not run."""
    rows = [house.rows(place, backend) for place in range(len(house.queries))]
    return np.array([house.columns.reward[row].mean() if row.stop > row.start else np.nan for row in rows])


def test_it_has_real_models_and_enough_of_everything(house: Recording) -> None:
    for backend in ("small", "large"):
        many = [row.stop - row.start for row in (house.rows(n, backend) for n in range(len(house.queries)))]
        assert len(many) >= 300 and min(many) >= 4
    assert len({query.task for query in house.queries}) >= 8


def test_it_says_where_it_comes_from_and_under_which_licence(house: Recording) -> None:
    assert house.meta.licence == "Apache-2.0"
    assert house.meta.extra["models"]["small"]["name"] == "SmolLM2-135M-Instruct"
    assert len(house.meta.extra["models"]["large"]["gguf_sha256"]) == 64
    assert house.meta.extra["made_by"] == "make recording"
    assert house.prices["large"].price_out > house.prices["small"].price_out > 0


def test_it_is_small_enough_to_ship() -> None:
    assert sum(file.stat().st_size for folder in (SHIPPED, PROMPTED) for file in folder.iterdir()) < 12e6


def test_its_questions_are_those_of_the_workload(house: Recording) -> None:
    asked = {row.query_id: (row.query, row.gold) for row in workload(PER_KIND, SEED)}
    assert all(asked[query.query_id] == (query.query, query.gold) for query in house.queries)


def test_every_sample_is_labelled_and_labels_come_out_the_same_again(
    house: Recording, tmp_path: Path
) -> None:
    grade(SHIPPED, out=tmp_path / "again")
    again = Recording.load(tmp_path / "again").columns
    assert not np.isnan(house.columns.reward).any()
    assert np.array_equal(house.columns.reward, again.reward)
    assert np.array_equal(house.columns.answer, again.answer)


def test_logprobs_and_usage_are_kept(house: Recording) -> None:
    assert not np.isnan(house.columns.mean_logprob).any()
    assert (house.columns.first_entropy >= 0).all()
    assert (house.columns.tokens_out >= 1).all() and (house.columns.tokens_in >= 10).all()


def test_in_five_kinds_and_more_the_small_model_is_neither_hopeless_nor_perfect(house: Recording) -> None:
    rates, tasks = pass_rates(house, "small"), np.array([query.task for query in house.queries])
    means = {kind: float(rates[tasks == kind].mean()) for kind in KINDS}
    assert sum(0.15 <= mean <= 0.85 for mean in means.values()) >= 5, means


def test_within_a_kind_harder_levels_are_answered_worse(house: Recording) -> None:
    levels = np.array([int(query.query_id.rpartition("-")[2]) % 5 for query in house.queries])
    for backend in ("small", "large"):
        rates = pass_rates(house, backend)
        assert rates[levels == 0].mean() > rates[levels == 4].mean() + 0.15


def test_choosing_per_query_is_worth_more_than_either_model(house: Recording) -> None:
    rates = np.stack([pass_rates(house, backend) for backend in ("small", "large")])
    assert rates.max(axis=0).mean() > rates.mean(axis=1).max() + 0.02
    assert (rates[0] >= rates[1]).mean() > 0.3  # where the small model is as good, at a fraction of the price


def journal(folder: Path, stages: int, leave_out: int) -> list[CollectedQuery]:
    queries = [
        CollectedQuery(row.query_id, row.query, row.task, row.gold) for row in workload(PER_KIND, SEED)
    ]
    keys = dict.fromkeys(key for stage in STAGES[:stages] for key in stage.keys(queries))
    rows = [
        {"query_id": query, "backend": backend, "sample_idx": place, "mark": "", "text": "Answer: 4"}
        | dict.fromkeys(
            ("tokens_in", "tokens_out", "first_token_s", "latency_s", "mean_logprob", "first_entropy")
        )
        | {"finish_reason": "stop", "params": "{}"}
        for query, backend, place in keys
    ]
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows[: len(rows) - leave_out])
    )
    prices = {"price_in": 1.0, "price_out": 2.0}
    (folder / "run.json").write_text(json.dumps({"seed": 0, "backends": dict.fromkeys(BACKENDS, prices)}))
    return queries


def test_only_complete_stages_are_shipped(tmp_path: Path) -> None:
    queries = journal(tmp_path / "j", stages=2, leave_out=1)
    assert complete_keys(tmp_path / "j", queries) == set(STAGES[0].keys(queries))
    ship(tmp_path / "j", queries, tmp_path / "out")
    recording = Recording.load(tmp_path / "out")
    assert (len(recording.queries), len(recording.columns)) == (420, 3360)
    assert not np.isnan(recording.columns.reward).any()


def test_both_prompts_are_shipped_beside_it_for_the_queries_that_have_both(tmp_path: Path) -> None:
    queries = journal(tmp_path / "j", stages=4, leave_out=0)
    ship(tmp_path / "j", queries, tmp_path / "out")
    direct, both = Recording.load(tmp_path / "out"), Recording.load(tmp_path / "out-prompts")
    assert set(direct.backends) == {"small", "large"} and len(direct.queries) == 1260
    assert set(both.backends) == {"small", "large", "small-step", "large-step"} and len(both.queries) == 420
    assert all(row.stop > row.start for row in (both.rows(n, "large-step") for n in range(420)))


@pytest.mark.parametrize("backend", ["small-step", "large-step"])
def test_another_prompt_is_better_for_some_kinds_and_worse_for_others(backend: str) -> None:
    both = Recording.load(PROMPTED)
    gain = pass_rates(both, backend) - pass_rates(both, backend.removesuffix("-step"))
    tasks = np.array([query.task for query in both.queries])
    by_kind = np.array([gain[tasks == task].mean() for task in np.unique(tasks)])
    assert len(both.queries) >= 1000 and not np.isnan(gain).any()
    assert by_kind.max() > 0.05 and by_kind.min() < -0.1


def test_nothing_is_shipped_before_the_first_stage_is_complete(tmp_path: Path) -> None:
    queries = journal(tmp_path / "j", stages=1, leave_out=1)
    with pytest.raises(TrainingError, match="the first stage is not complete yet"):
        ship(tmp_path / "j", queries, tmp_path / "out")


def test_the_stages_add_up_to_the_full_recording() -> None:
    queries = [CollectedQuery(f"q{n}", "") for n in range(PER_KIND * len(KINDS))]
    keys = {key for stage in STAGES for key in stage.keys(queries)}
    samples = {backend: sum(key[1] == backend for key in keys) for backend in {key[1] for key in keys}}
    assert samples == {"small": 13_440, "large": 6_720, "small-step": 10_080, "large-step": 5_040}


def test_a_stage_is_collected_with_its_prompt_prices_and_lengths() -> None:
    option = backend_option(STAGES[3], "large", "http://127.0.0.1:1")
    assert option.startswith("large-step=http://127.0.0.1:1,model=Qwen2.5-Coder-0.5B-Instruct,prompt=step,")
    assert "max_tokens=160" in option and "samples=4" in option and "price_out=1.2" in option


@pytest.mark.timeout(300)
def test_one_command_makes_it_and_made_again_it_is_the_same(url: str, tmp_path: Path) -> None:
    servers = [f"small={url}", f"large={url}"]
    house_command(tmp_path / "j", tmp_path / "out", stages=1, url=servers)
    first = (tmp_path / "out" / "samples.parquet").read_bytes()
    house_command(tmp_path / "j", tmp_path / "out", stages=1, url=servers)
    assert (tmp_path / "out" / "samples.parquet").read_bytes() == first
    assert len(Recording.load(tmp_path / "out").columns) == 3360
