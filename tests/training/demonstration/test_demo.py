"""The demo: who may see what, and the whole walk on a small recording."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from router.configuration.file import load
from router.recording import Recording
from training.demo import check_place
from training.demonstration.prepare import balance_price, blind_copy, prepare
from training.demonstration.score import Curve
from training.demonstration.table import MeanSd
from training.errors import NotEnoughData, TrainingError


@pytest.fixture(scope="module")
def source(made: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = made.write_pattern(tmp_path_factory.mktemp("demo") / "pattern", 180, 3)
    return folder


def test_the_blind_copy_has_no_reward_and_no_gold(source: Path, tmp_path: Path) -> None:
    blind_copy(source, tmp_path / "blind")
    samples, queries = (
        pq.read_table(tmp_path / "blind" / f"{name}.parquet") for name in ("samples", "queries")
    )
    assert samples["reward"].null_count == len(samples) == len(pq.read_table(source / "samples.parquet"))
    assert queries["gold"].null_count == len(queries) == 180


def test_the_fit_sees_nothing_of_the_held_out_half(source: Path, tmp_path: Path) -> None:
    split = prepare(source, tmp_path / "blind", tmp_path / "split", 0)
    labelled = Recording.load(split.labelled)
    assert {query.query_id for query in labelled.queries} == set(split.fit_ids)
    assert not set(split.fit_ids) & set(split.test_ids)
    assert len(split.fit_ids) + len(split.test_ids) == 180


def test_the_server_is_given_the_blind_copy(source: Path, tmp_path: Path) -> None:
    blind_copy(source, tmp_path / "blind")
    split = prepare(source, tmp_path / "blind", tmp_path / "split", 0)
    config = load(split.config)
    assert {section.recording for section in config.backends.values()} == {
        str((tmp_path / "blind").resolve())
    }


def test_at_the_balance_price_both_backends_have_the_same_utility(source: Path) -> None:
    recording = Recording.load(source)
    price = balance_price(recording)
    seen = recording.columns
    utility = [
        float(seen.reward[seen.backend == place].mean() - price * seen.cost[seen.backend == place].mean())
        for place in range(2)
    ]
    assert utility[0] == pytest.approx(utility[1])


def test_too_few_queries_cannot_be_split(made: ModuleType, tmp_path: Path) -> None:
    folder = made.write_pattern(tmp_path / "few", 40)
    with pytest.raises(NotEnoughData, match="40 queries of few are too few"):
        prepare(folder, tmp_path / "blind", tmp_path / "split", 0)


def test_a_baseline_is_read_off_between_its_points() -> None:
    curve = Curve.of([(2.0, 0.6), (1.0, 0.4)])
    assert [curve.at(cost) for cost in (0.5, 1.5, 9.0)] == pytest.approx([0.4, 0.5, 0.6])


def test_mean_and_sd_over_splits() -> None:
    found = MeanSd.of([1.0, 2.0, 3.0])
    assert (found.mean, found.sd) == (2.0, 1.0)


@pytest.fixture(scope="module")
def walked(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What `apportion demo --quick` says and writes."""
    out = tmp_path_factory.mktemp("out") / "demo-out"
    command = [sys.executable, "-m", "training", "demo", "--recording", str(source), "--out", str(out)]
    done = subprocess.run([*command, "--quick", "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), out


@pytest.mark.timeout(400)
def test_the_server_answers_every_query_and_gets_every_outcome(walked: tuple[dict[str, Any], Path]) -> None:
    served = walked[0]["served"]
    assert served["failed"] == 0
    assert served["queries"] == served["outcomes_reported"] > 150


@pytest.mark.timeout(400)
def test_what_was_served_is_what_is_replayed(walked: tuple[dict[str, Any], Path]) -> None:
    assert walked[0]["served_as_replayed"] == walked[0]["served"]["queries"]


@pytest.mark.timeout(400)
def test_it_beats_a_coin_where_something_can_be_learned(walked: tuple[dict[str, Any], Path]) -> None:
    gains = [at["random mix"]["mean"] for at in walked[0]["at_equal_cost"].values()]
    assert np.mean(gains) > 2.0


@pytest.mark.timeout(400)
def test_every_way_to_route_is_in_the_table(walked: tuple[dict[str, Any], Path]) -> None:
    wanted = {
        "always small",
        "always large",
        "random mix",
        "Zero router",
        "lookup by kind",
        "kNN",
        "best fixed plan",
        "oracle",
    }
    subjects = walked[0]["subjects"]
    assert wanted < set(subjects)
    assert sum(name.startswith("Apportion") for name in subjects) == 3
    assert subjects["always large"]["saving"]["mean"] == 0.0


@pytest.mark.timeout(400)
def test_it_leaves_a_picture_and_what_can_be_served_again(walked: tuple[dict[str, Any], Path]) -> None:
    out = walked[1]
    assert (out / "demo.png").read_bytes()[:4] == b"\x89PNG"
    config = load(out / "router.toml", serving=True)
    assert {section.recording for section in config.backends.values()} == {"recording"}
    assert json.loads((out / "demo.json").read_text())["splits"] == 2


def test_a_missing_recording_says_how_to_make_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training", "demo", "--recording", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "make recording" in done.stderr


def test_a_folder_with_a_recording_of_ones_own_is_not_written_over(tmp_path: Path) -> None:
    check_place(tmp_path / "new")
    (tmp_path / "recording").mkdir()
    with pytest.raises(TrainingError, match="recording is there and is no demo's"):
        check_place(tmp_path)
    (tmp_path / "demo.json").write_text("{}")
    check_place(tmp_path)
