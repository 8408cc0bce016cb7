"""The suite `calibration` on recordings whose truth is known, and its figures computed again from outside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from router.recording import Recording
from router.recordings.format import RecordingMeta, write_recording
from training.decision_rows import DecisionRows
from training.run_suite import Failed, Skipped, run_suite, to_json
from training.suites import Figures, Run
from training.suites.calibration.figures import CalibrationFigures, failures, one_of_each
from training.suites.calibration.fold import Job, Predicted, predict_fold
from training.suites.calibration.states import has_states, probed
from training.suites.calibration.suite import Calibration, as_rows

pytestmark = pytest.mark.timeout(300)  # fits for every fold


@pytest.fixture(scope="module")
def pattern(made: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = made.write_pattern(tmp_path_factory.mktemp("calibration") / "pattern", 110, samples=2)
    return folder


@pytest.fixture(scope="module")
def measured(pattern: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Figures, Path]:
    path = tmp_path_factory.mktemp("decisions") / "out.parquet"
    found = run_suite("calibration", [pattern], Run(workers=1), path)["pattern"]
    assert not isinstance(found, (Failed, Skipped)), found
    return found, path


def from_outside(path: Path, folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray, list[tuple[str, str]]]]:
    """Subject -> predictions, rewards and (query, backend), by nothing but the two files."""
    samples = pq.read_table(folder / "samples.parquet").to_pylist()
    reward = {(row["query_id"], row["backend"], row["sample_idx"]): row["reward"] for row in samples}
    found: dict[str, list[tuple[float, float, tuple[str, str]]]] = {}
    for row in pq.read_table(path).to_pylist():
        (looked,) = row["samples"]
        assert (row["suite"], looked["prefix_tokens"]) == ("calibration", None)
        cell = row["query_id"], looked["backend"]
        p = dict(row["signals"])["p_correct"]
        found.setdefault(row["subject"], []).append((p, reward[*cell, looked["sample_idx"]], cell))
    return {
        subject: (
            np.array([row[0] for row in rows]),
            np.array([row[1] for row in rows]),
            [row[2] for row in rows],
        )
        for subject, rows in found.items()
    }


def bins_error(p: np.ndarray, y: np.ndarray) -> float:
    order = np.argsort(p, kind="stable")
    parts = np.array_split(order, 10)
    return float(sum(len(part) * abs(p[part].mean() - y[part].mean()) for part in parts) / len(p))


def test_every_figure_can_be_computed_from_the_decisions_and_the_recording(
    measured: tuple[Figures, Path], pattern: Path
) -> None:
    figures, path = measured
    outside = from_outside(path, pattern)
    assert set(outside) == set(figures) == {"base", "text", "all", "apportion"}
    for subject, (p, y, cells) in outside.items():
        mine = {name: value(figures, subject, name) for name in figures[subject]}
        right, wrong = p[y >= 0.5], p[y < 0.5]
        beaten = (right[:, None] > wrong).mean() + 0.5 * (right[:, None] == wrong).mean()
        clipped = np.clip(p, 1e-4, 1 - 1e-4)
        assert mine["auroc"] == pytest.approx(beaten)
        assert mine["brier_skill"] == pytest.approx(1 - ((p - y) ** 2).mean() / y.var())
        assert mine["logloss"] == pytest.approx(-np.where(y, np.log(clipped), np.log(1 - clipped)).mean())
        rng, raw, one = np.random.default_rng(99), [], np.zeros(0, dtype=int)
        by_cell: dict[tuple[str, str], list[int]] = {}
        for place, cell in enumerate(cells):
            by_cell.setdefault(cell, []).append(place)
        for _ in range(20):
            one = rng.permutation([int(rng.choice(places)) for places in by_cell.values()])
            raw.append(bins_error(p[one], y[one]))
        floor = [bins_error(p[one], (rng.random(len(one)) < p[one]).astype(float)) for _ in range(200)]
        # another seed's choices; predictions that are all equal are binned by chance
        assert mine["ece_raw"] == pytest.approx(np.mean(raw), abs=0.012)
        assert mine["ece_floor"] == pytest.approx(np.mean(floor), abs=0.008)
        assert mine["ece"] == pytest.approx(max(0.0, mine["ece_raw"] - mine["ece_floor"]))


def test_the_file_names_backend_and_sample_of_every_row(
    measured: tuple[Figures, Path], pattern: Path
) -> None:
    rows = [row for row in pq.read_table(measured[1]).to_pylist() if row["subject"] == "apportion"]
    assert all((row["backend"], row["sample_idx"]) == tuple(row["samples"][0].values())[:2] for row in rows)
    keys = {(row["query_id"], row["backend"], row["sample_idx"]) for row in rows}
    assert len(keys) == len(rows) == pq.read_table(pattern / "samples.parquet").num_rows


def test_what_came_back_tells_right_from_wrong(measured: tuple[Figures, Path]) -> None:
    """Right answers of the pattern begin with another word than wrong ones."""
    figures = measured[0]
    assert value(figures, "text", "auroc") > 0.95
    assert value(figures, "apportion", "brier_skill") > 0.7


def value(figures: Figures, subject: str, figure: str) -> float:
    found = figures[subject][figure]
    assert isinstance(found, float)
    return found


def block(recording: Recording, p: np.ndarray, subject: str = "apportion") -> DecisionRows:
    found = Predicted(Job(Path(), 0, 0), np.arange(len(recording.columns)), {subject: p})
    return next(as_rows(found, recording))


@pytest.mark.parametrize(
    ("predicted", "fails"),
    [
        (lambda p: np.full(len(p), p.mean()), "Brier skill"),
        (lambda p: np.clip(p + 0.1, 0.0, 1.0), "ece"),
        (lambda p: 1 - p, "ece"),
    ],
    ids=["a constant", "too sure", "upside down"],
)
def test_what_is_not_calibrated_or_says_nothing_misses_the_goal(pattern: Path, predicted, fails: str) -> None:
    recording, p = honest(pattern)
    collected = CalibrationFigures(recording)
    collected.take(block(recording, predicted(p)))
    assert any(fails in reason for reason in failures(collected.figures()))


def test_honest_probabilities_meet_the_goal_and_must_not_be_below_a_member(pattern: Path) -> None:
    recording, p = honest(pattern)
    collected = CalibrationFigures(recording)
    collected.take(block(recording, p))
    collected.take(block(recording, np.full(len(p), p.mean()), "text"))
    assert failures(collected.figures()) == []
    assert failures(collected.figures(), "text")
    better = dict(collected.figures())
    better["text"] = dict(better["apportion"]) | {"brier_skill": 0.99}
    assert failures(better) == [
        f"apportion: Brier skill {better['apportion']['brier_skill']:.3f} is below 0.990 of text"
    ]


def honest(folder: Path) -> tuple[Recording, np.ndarray]:
    """The recording with labels drawn from probabilities that are then what is predicted."""
    recording = Recording.load(folder)
    rng = np.random.default_rng(3)
    p = rng.beta(0.8, 0.8, len(recording.columns))
    reward = (rng.random(len(p)) < p).astype(np.float32)
    return replace(recording, columns=replace(recording.columns, reward=reward)), p


def test_predictions_do_not_know_the_labels_of_their_fold(pattern: Path) -> None:
    recording = Recording.load(pattern)
    first = predict_fold(recording, Job(pattern, 0, 0))
    turned = recording.columns.reward.copy()
    turned[first.rows] = 1 - turned[first.rows]
    other = predict_fold(
        replace(recording, columns=replace(recording.columns, reward=turned)), Job(pattern, 0, 0)
    )
    for subject, p in first.by_subject.items():
        assert np.array_equal(p, other.by_subject[subject]), subject


def test_two_workers_predict_what_one_does(pattern: Path, measured: tuple[Figures, Path]) -> None:
    assert Calibration().run(Recording.load(pattern), pattern, Run(workers=2)) == measured[0]


def test_one_sample_of_each_query_and_backend_is_chosen() -> None:
    cell = np.array([0, 0, 0, 1, 1, 5])
    chosen = [one_of_each(cell, np.random.default_rng(seed)) for seed in range(50)]
    assert all(sorted(cell[one].tolist()) == [0, 1, 5] for one in chosen)
    assert {int(one[np.flatnonzero(cell[one] == 0)[0]]) for one in chosen} == {0, 1, 2}


def test_evidence_that_was_not_recorded_is_no_subject(made: ModuleType, tmp_path: Path) -> None:
    folder = made.write_pattern(tmp_path / "bare", 60, answers=False)
    figures = Calibration().run(Recording.load(folder), folder, Run(workers=1))
    assert set(figures) == {"base", "all", "apportion"}


def with_states(folder: Path, source: Path) -> Path:
    """The recording with vectors in which right answers lie apart; large's are wider, every seventh is missing."""
    samples = pq.read_table(source / "samples.parquet")
    rng = np.random.default_rng(0)
    states = []
    for place, row in enumerate(samples.to_pylist()):
        width = 12 if row["backend"] == "small" else 20
        state = rng.normal(size=width) + np.linspace(-1, 1, width) * row["reward"]
        states.append(None if place % 7 == 0 else state.astype(np.float16))
    table = samples.append_column("hidden", pa.array(states, pa.list_(pa.float16())))
    meta = Recording.load(source).meta
    queries = pq.read_table(source / "queries.parquet")
    write_recording(folder, RecordingMeta(name=folder.name, prices=meta.prices), queries, table)
    return folder


def test_hidden_states_are_a_subject_where_they_are_recorded(pattern: Path, tmp_path: Path) -> None:
    folder = with_states(tmp_path / "states", pattern)
    found = predict_fold(Recording.load(folder), Job(folder, 0, 0))
    assert {"hidden", "all"} <= set(found.by_subject)
    recording = Recording.load(folder)
    collected = CalibrationFigures(recording)
    for rows in as_rows(found, recording):
        collected.take(rows)
    assert value(collected.figures(), "hidden", "auroc") > 0.75


def test_what_growing_samples_would_have_answered_is_not_the_rate_of_finished_ones(
    made: ModuleType, tmp_path: Path
) -> None:
    """Four looks at every sample, all of them wrong; the file asks about the ends, of which every second is right."""
    source = made.write_pattern(tmp_path / "pattern", 60)
    ended = pq.read_table(source / "samples.parquet")
    ended = ended.append_column("prefix_tokens", pa.nulls(len(ended), pa.int32()))
    place = ended.column_names.index("reward")
    wrong = ended.set_column(place, "reward", pa.array(np.zeros(len(ended)), pa.float32()))
    looks = [
        wrong.set_column(
            len(ended.column_names) - 1, "prefix_tokens", pa.array([at] * len(ended), pa.int32())
        )
        for at in (1, 2, 3, 4)
    ]
    folder = tmp_path / "grown"
    meta = RecordingMeta(name="grown", prices=Recording.load(source).meta.prices)
    queries = pq.read_table(source / "queries.parquet")
    write_recording(folder, meta, queries, pa.concat_tables([ended, *looks]))
    found = predict_fold(Recording.load(folder), Job(folder, 0, 0)).by_subject
    rate = float(np.mean(ended.column("reward").to_numpy()))
    assert rate > 0.5
    assert found["base"][0] == pytest.approx(rate, abs=0.06)  # of the other folds
    assert found["text"].mean() == pytest.approx(rate, abs=0.15)


def test_states_of_snapshots_alone_and_lists_of_no_numbers_say_nothing_of_where_samples_end(
    pattern: Path, tmp_path: Path
) -> None:
    source = pq.read_table(with_states(tmp_path / "states", pattern) / "samples.parquet")
    empty = pa.array([[]] * len(source), source.column("hidden").type)
    ended = source.set_column(source.column_names.index("hidden"), "hidden", empty)
    looks = source.append_column("prefix_tokens", pa.array([3] * len(source), pa.int32()))
    for name, tables in {"ended": (ended,), "grown": (ended, looks)}.items():
        folder, queries = tmp_path / name, pq.read_table(pattern / "queries.parquet")
        meta = RecordingMeta(name=name, prices=Recording.load(pattern).meta.prices)
        write_recording(folder, meta, queries, pa.concat_tables(tables, promote_options="default"))
        recording = Recording.load(folder)
        assert not has_states(recording)
    found = predict_fold(Recording.load(tmp_path / "ended"), Job(tmp_path / "ended", 0, 0))
    assert "apportion" in found.by_subject and "hidden" not in found.by_subject


def test_samples_without_a_state_get_their_backends_base_rate(pattern: Path, tmp_path: Path) -> None:
    recording = Recording.load(with_states(tmp_path / "states", pattern))
    rows = np.arange(len(recording.columns))
    train, test = rows[rows % 2 == 0], rows[rows % 2 == 1]
    y = recording.columns.reward[train].astype(float)
    held_out, found = probed(recording, train, y, train // 8 % 3, test, 0)
    missing = np.array([recording.hidden(int(row)) is None for row in test])
    assert 0 < missing.sum() < len(test)
    of_train, of_test = (recording.columns.backend[part] for part in (train, test))
    bases = [y[of_train == place].mean() for place in range(2)]
    assert bases[0] != bases[1]
    assert np.all(found[missing] == np.array(bases)[of_test[missing]]) and np.ptp(found[~missing]) > 0.2
    assert held_out.shape == train.shape


def test_a_recording_with_few_labels_is_skipped(made: ModuleType, tmp_path: Path) -> None:
    folder = made.write_pattern(tmp_path / "few", 20)
    found = to_json(run_suite("calibration", [folder], Run(workers=1)))
    assert found == {"few": {"skipped": "calibration needs 50 labelled samples; few has 40"}}


def test_where_everything_is_right_the_figures_that_have_a_meaning_are_there(
    made: ModuleType, tmp_path: Path
) -> None:
    folder = made.write_pattern(tmp_path / "right", 60)
    recording = Recording.load(folder)
    ones = replace(recording, columns=replace(recording.columns, reward=np.ones(120, np.float32)))
    figures = Calibration().run(ones, folder, Run(workers=1))
    assert "auroc" not in figures["apportion"]
    assert value(figures, "apportion", "ece") < 0.02
