"""The routing suite on recordings whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from router.errors import RecordingError
from router.recording import Recording
from training.decisions_file import read_decisions
from training.errors import NotEnoughData
from training.figures.spread import Spread
from training.fit.heads import fit_held_out
from training.fit.rows import rows_of
from training.run_suite import Failed, Skipped, run_suite, to_json
from training.suites import Figures, Run
from training.suites.routing.decided import as_rows
from training.suites.routing.figures import RoutingFigures
from training.suites.routing.learned import ids_of, learn
from training.suites.routing.oracle import oracle
from training.suites.routing.problem import folds_by_task, folds_by_text, routing_problem
from training.suites.routing.suite import Routing

pytestmark = pytest.mark.timeout(600)  # fits for every fold

QUICK = ("always", "random_mix", "zero_router", "knn", "lookup", "lookup:task", "oracle")


def mean(figures: Figures, subject: str, figure: str) -> float:
    value = figures[subject][figure]
    return value.mean if isinstance(value, Spread) else value


@pytest.fixture(scope="module")
def pattern(made: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = made.write_pattern(tmp_path_factory.mktemp("routing") / "pattern", 320)
    return folder


@pytest.fixture(scope="module")
def measured(pattern: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Figures, Path]:
    """Figures of every subject on the learnable pattern, and its decisions file."""
    path = tmp_path_factory.mktemp("decisions") / "out.parquet"
    found = run_suite("routing", [pattern], Run(workers=1), path)["pattern"]
    assert not isinstance(found, (Failed, Skipped)), found
    return found, path


def test_what_can_be_learned_is_learned(measured: tuple[Figures, Path]) -> None:
    figures, _ = measured
    assert mean(figures, "apportion", "apgr") > mean(figures, "random_mix", "apgr") + 0.15
    assert mean(figures, "apportion", "accuracy") > mean(figures, "zero_router", "accuracy") + 0.08


def test_a_coin_recovers_half_of_the_advantage(measured: tuple[Figures, Path]) -> None:
    assert abs(mean(measured[0], "random_mix", "apgr") - 0.5) < 0.12


def test_nobody_passes_the_oracle(measured: tuple[Figures, Path]) -> None:
    figures, _ = measured
    assert all(
        mean(figures, subject, "aiq") <= mean(figures, "oracle", "aiq") + 1e-9
        for subject in figures
        if "aiq" in figures[subject]
    )


def test_a_backend_alone_has_its_own_mean(pattern: Path, measured: tuple[Figures, Path]) -> None:
    recording = Recording.load(pattern)
    seen = recording.columns
    rows = seen.backend == recording.backends.index("large")
    folds = [fold.test for fold in folds_by_text(routing_problem(recording, 0))]
    by_fold = [seen.reward[rows][np.isin(seen.query[rows], fold)].mean() for fold in folds]
    assert mean(measured[0], "always:large", "accuracy") == pytest.approx(np.mean(by_fold))


def test_the_figures_come_out_of_the_decisions_file_again(
    pattern: Path, measured: tuple[Figures, Path]
) -> None:
    figures, path = measured
    recording = Recording.load(pattern)
    again = RoutingFigures(recording)
    for rows in read_decisions(path, {"pattern": recording}):
        again.take(rows)
    recomputed = again.figures()
    for subject, found in figures.items():
        for name, value in found.items():
            if name != "left_out":
                assert recomputed[subject][name] == value, (subject, name)


def test_the_file_has_a_row_for_every_query_at_every_point(
    measured: tuple[Figures, Path], pattern: Path
) -> None:
    recording = Recording.load(pattern)
    asked: dict[tuple[str, str], list[int]] = {}
    for rows in read_decisions(measured[1], {"pattern": recording}):
        asked.setdefault((rows.key.subject, rows.key.operating_point), []).extend(rows.query.tolist())
    assert all(sorted(places) == list(range(320)) for places in asked.values())
    assert sum(subject == "apportion" for subject, _ in asked) >= 41


def test_noise_does_no_harm(made: ModuleType, tmp_path: Path) -> None:
    folder = made.write_pattern(tmp_path / "noise", 400, noise=True, seed=5)
    recording = Recording.load(folder)
    figures = Routing(subjects=(*QUICK, "apportion")).run(recording, folder, Run(workers=1))
    harm = figures["apportion"]["over_best_baseline"]
    assert isinstance(harm, Spread)
    assert harm.mean >= -4.0  # a fold's accuracy has an error of 5 points here


def test_two_workers_give_the_figures_of_one(pattern: Path) -> None:
    recording = Recording.load(pattern)
    suite = Routing(subjects=("always", "random_mix", "oracle"))
    assert suite.run(recording, pattern, Run(workers=2)) == suite.run(recording, pattern, Run(workers=1))


def test_another_seed_is_another_split_and_the_same_seed_the_same(pattern: Path) -> None:
    recording = Recording.load(pattern)
    one, again, other = (
        folds_by_text(routing_problem(recording, seed))[0].test.tolist() for seed in (0, 0, 1)
    )
    assert one == again
    assert one != other


def test_folds_by_task_hold_out_whole_tasks(made: ModuleType, tmp_path: Path) -> None:
    recording = Recording.load(made.write_pattern(tmp_path / "tasks", 100))
    queries = tuple(
        replace(query, task=f"task {place % 10}") for place, query in enumerate(recording.queries)
    )
    problem = routing_problem(replace(recording, queries=queries), 0)
    for fold in folds_by_task(problem):
        assert not {problem.tasks[at] for at in fold.test} & {problem.tasks[at] for at in fold.train}


def test_learners_do_not_see_the_labels_of_the_test_queries(pattern: Path) -> None:
    recording = Recording.load(pattern)
    fold = folds_by_text(routing_problem(recording, 0))[0]
    from training.suites.routing.apportion import apportion
    from training.suites.routing.knn import knn

    hidden = np.isin(recording.columns.query, fold.problem.queries[fold.test])
    other = recording.columns.reward.copy()
    other[hidden] = 1 - other[hidden]
    flipped = replace(recording, columns=replace(recording.columns, reward=other))
    changed = folds_by_text(routing_problem(flipped, 0))[0]
    for subject in (knn, apportion):
        for name, decided in subject(fold).items():
            assert (subject(changed)[name].choice == decided.choice).all(), name


def test_the_oracle_takes_the_cheapest_backend_that_is_right(pattern: Path) -> None:
    problem = routing_problem(Recording.load(pattern), 0)
    fold = folds_by_text(problem)[0]
    rows = list(as_rows(oracle(fold)["oracle"], problem, "oracle", 0, fold.test))
    served = problem.served_reward[fold.test]
    share = float((served[:, 1] > served[:, 0]).mean())
    best = max(float(problem.recording.columns.reward[block.sample_row].mean()) for block in rows)
    assert best == pytest.approx(served.max(axis=1).mean(), abs=0.02)
    assert 0 < share < 1


def test_a_recording_with_one_backend_is_skipped_and_the_rest_goes_on(
    made: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Routing.__init__, "__defaults__", (("always", "random_mix"),))
    small = made.write_pattern(tmp_path / "tiny", 30)
    (tmp_path / "broken").mkdir()
    good = made.write_pattern(tmp_path / "good", 100)
    found = to_json(run_suite("routing", [small, tmp_path / "broken", good], Run(workers=1)))
    assert found["tiny"] == {
        "skipped": "plans are compared over 50 queries that every backend answered; tiny has 30"
    }
    assert "meta.json" in found["broken"]["error"]
    assert set(found["good"]["always:small"]["accuracy"]) == {"mean", "sd", "lo", "hi"}


def test_a_recording_without_rewards_is_skipped(made: ModuleType, tmp_path: Path) -> None:
    folder = made.write_pattern(tmp_path / "blind", 80, rewards=False)
    with pytest.raises(NotEnoughData, match="two backends with labelled answers"):
        routing_problem(Recording.load(folder), 0)


def test_where_the_cheapest_is_the_best_there_is_no_advantage_to_recover(
    made: ModuleType, tmp_path: Path
) -> None:
    folder = made.write_pattern(tmp_path / "upside", 100)
    recording = Recording.load(folder)
    reward = np.where(recording.columns.backend == 0, 1.0, 0.0).astype(np.float32)
    better = replace(recording, columns=replace(recording.columns, reward=reward))
    figures = Routing(subjects=("always", "random_mix", "oracle")).run(better, folder, Run(workers=1))
    assert not {"aiq", "apgr", "cpt50", "quality_drop@40"} & set(figures["random_mix"])
    assert mean(figures, "oracle", "accuracy") == 1.0


def test_two_recordings_of_one_name_are_refused(tmp_path: Path) -> None:
    from training.errors import TrainingError

    with pytest.raises(TrainingError, match="two recordings are called 'a'"):
        run_suite("routing", [tmp_path / "x" / "a", tmp_path / "y" / "a"], Run())


def test_an_unknown_suite_is_named_with_the_choices() -> None:
    from router.errors import UnknownName

    with pytest.raises(UnknownName, match=r"unknown suite 'rooting'; choose from .*routing"):
        run_suite("rooting", [], Run())


def test_a_damaged_recording_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(RecordingError):
        Recording.load(tmp_path)


def test_answers_are_judged_as_a_served_fit_of_the_same_queries_judges_them(pattern: Path) -> None:
    """What is measured is what is served: one fit over all backends, with own heads where they are better."""
    problem = routing_problem(Recording.load(pattern), 0)
    fold = folds_by_text(problem)[0]
    learned = learn(fold, fold.train, samples_of="small")
    served = fit_held_out(
        rows_of([problem.recording], ids_of(fold, fold.train)), problem.seed
    ).bundle.sample_head
    measured = learned.fitted.samples.head
    assert served is not None
    assert measured is not None
    for labelled in learned.rows.samples:
        if labelled.sample.backend == "small":
            texts = (labelled.sample, learned.rows.texts[labelled.query])
            assert measured.alone(*texts, 0.4, 20.0) == served.alone(*texts, 0.4, 20.0)
