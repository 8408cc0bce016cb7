"""The suite on recordings whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from router.recording import Recording
from training.decision_rows import cost_of_samples
from training.decisions_file import read_decisions
from training.errors import NotEnoughData
from training.figures.spread import Spread
from training.run_suite import Failed, Skipped, run_suite
from training.suites import Figures, Run
from training.suites.allocation.figures import AllocationFigures
from training.suites.allocation.known import know
from training.suites.allocation.operating_points import told_apart
from training.suites.allocation.problem import NO_ROW, allocation_problem
from training.suites.allocation.route_only import prompts_of
from training.suites.allocation.run_fold import Job, decide_fold
from training.suites.routing.problem import folds_by_text

pytestmark = pytest.mark.timeout(600)  # fits for every fold

SUBJECTS = (
    "best_fixed_plan", "route_only", "sample_only", "cascade_only", "table", "match_probability", "hop", "apportion",
    "oracle",
)  # fmt: skip


def mean(figures: Figures, subject: str, figure: str) -> float:
    value = figures[subject][figure]
    return value.mean if isinstance(value, Spread) else value


@pytest.fixture(scope="module")
def pattern(made: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = made.write_pattern(tmp_path_factory.mktemp("allocation") / "pattern", 250, samples=4)
    return folder


@pytest.fixture(scope="module")
def measured(pattern: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Figures, Path]:
    path = tmp_path_factory.mktemp("decisions") / "out.parquet"
    found = run_suite("allocation", [pattern], Run(workers=1), path)["pattern"]
    assert not isinstance(found, (Failed, Skipped)), found
    return found, path


def test_every_subject_stands_in_the_output(measured: tuple[Figures, Path]) -> None:
    for subject in SUBJECTS:
        assert {"aiq", "accuracy", "cost", "cost_of_pass", "quality_drop@40"} <= set(measured[0][subject])


def test_choosing_all_together_is_better_than_any_fixed_plan(measured: tuple[Figures, Path]) -> None:
    figures, _ = measured
    assert mean(figures, "apportion", "aiq") > mean(figures, "best_fixed_plan", "aiq") + 0.01
    assert mean(figures, "apportion", "aiq") > mean(figures, "sample_only", "aiq") + 0.02


def test_differences_are_those_of_the_same_splits(measured: tuple[Figures, Path]) -> None:
    figures, _ = measured
    for name in ("route_only", "match_probability"):
        difference = mean(figures, "apportion", "aiq") - mean(figures, name, "aiq")
        assert mean(figures, "apportion", f"aiq_over/{name}") == pytest.approx(difference)
    paired = figures["apportion"]["aiq_over/route_only"]
    assert isinstance(paired, Spread)
    assert paired.lo <= paired.mean <= paired.hi


def test_nobody_passes_the_oracle(measured: tuple[Figures, Path]) -> None:
    figures, _ = measured
    assert all(mean(figures, one, "aiq") <= mean(figures, "oracle", "aiq") + 1e-9 for one in SUBJECTS)


def test_shares_of_the_plans_sum_to_one(measured: tuple[Figures, Path]) -> None:
    for subject in SUBJECTS:
        shares = [
            mean(measured[0], subject, name) for name in measured[0][subject] if name.startswith("share/")
        ]
        assert sum(shares) == pytest.approx(1.0, abs=0.02)


def test_the_figures_come_out_of_the_decisions_file_again(
    pattern: Path, measured: tuple[Figures, Path]
) -> None:
    figures, path = measured
    recording = Recording.load(pattern)
    again = AllocationFigures(recording)
    for rows in read_decisions(path, {"pattern": recording}):
        again.take(rows)
        np.testing.assert_allclose(rows.cost, cost_of_samples(rows, recording), rtol=1e-12)
    recomputed = again.figures()
    for subject, found in figures.items():
        for name, value in found.items():
            if name != "left_out":
                assert recomputed[subject][name] == value, (subject, name)


def test_no_two_operating_points_of_a_subject_have_one_name(
    pattern: Path, measured: tuple[Figures, Path]
) -> None:
    """Neighbouring blocks with one key would be read as one point."""
    blocks = [rows.key for rows in read_decisions(measured[1], {"pattern": Recording.load(pattern)})]
    assert len(set(blocks)) == len(blocks) > 5 * len(SUBJECTS)
    assert told_apart(["a", "b", "a", "a"]) == ("a", "b", "a #2", "a #3")


def test_every_answer_is_the_majority_of_the_samples_that_stand_with_it(
    pattern: Path, measured: tuple[Figures, Path]
) -> None:
    """Of the last backend asked, as the plans have it; with one sample it is that sample's."""
    recording = Recording.load(pattern)
    seen = recording.columns
    checked = 0
    for rows in read_decisions(measured[1], {"pattern": recording}):
        assert rows.answers is not None
        for at in range(0, len(rows), 17):
            drawn = rows.sample_row[rows.samples_from[at] : rows.samples_from[at + 1]]
            last = drawn[seen.backend[drawn] == seen.backend[drawn[-1]]]
            answers = [recording.answers[seen.answer[row]] for row in last]
            if " for " in rows.plans[rows.plan[at]]:  # weighed: the fewest may answer, but one of them does
                assert rows.answers[rows.answer[at]] in answers
                continue
            assert rows.answers[rows.answer[at]] == max(answers, key=answers.count)
            checked += 1
    assert checked > 1000


def test_decisions_do_not_depend_on_the_outcomes_of_test_queries(pattern: Path) -> None:
    recording = Recording.load(pattern)
    problem = allocation_problem(recording, 0)
    fold = folds_by_text(problem.routing)[0]
    hidden = np.isin(recording.columns.query, problem.routing.queries[fold.test])
    flipped = np.where(hidden, 1 - recording.columns.reward, recording.columns.reward).astype(np.float32)
    other = allocation_problem(replace(recording, columns=replace(recording.columns, reward=flipped)), 0)
    job = Job(pattern, 0, 0, tuple(one for one in SUBJECTS if one != "oracle"))
    one, two = decide_fold(problem, job), decide_fold(other, job)
    for subject, decided in one.decided.items():
        assert np.array_equal(decided.plan, two.decided[subject].plan), subject
        assert np.array_equal(decided.path, two.decided[subject].path), subject


def test_plans_worth_is_near_what_they_gave_in_the_mean(pattern: Path) -> None:
    problem = allocation_problem(Recording.load(pattern), 0)
    known = know(problem, folds_by_text(problem.routing)[0])
    test = known.test
    for place, shape in enumerate(known.shapes):
        assert known.plan_quality[test, place].mean() == pytest.approx(
            known.mean_reward[test, place].mean(), abs=0.15
        ), shape.name
        assert known.plan_cost[test, place].mean() == pytest.approx(
            known.mean_cost[test, place].mean(), rel=0.25
        ), shape.name


def test_two_samples_of_each_are_too_few(made: ModuleType, tmp_path: Path) -> None:
    folder = made.write_pattern(tmp_path / "two", 80, samples=2)
    with pytest.raises(NotEnoughData, match="two backends with 3 samples"):
        allocation_problem(Recording.load(folder), 0)


def test_samples_without_a_reward_are_never_drawn(pattern: Path) -> None:
    recording = Recording.load(pattern)
    some = np.random.default_rng(0).random(len(recording.columns)) < 0.2
    reward = np.where(some, np.nan, recording.columns.reward).astype(np.float32)
    problem = allocation_problem(replace(recording, columns=replace(recording.columns, reward=reward)), 0)
    drawn = problem.drawn[problem.drawn != NO_ROW]
    assert np.isfinite(reward[drawn]).all()
    assert set(drawn.tolist()) == set(
        np.flatnonzero(
            np.isfinite(reward) & np.isin(recording.columns.query, problem.routing.queries)
        ).tolist()
    )


def test_a_prompt_of_a_model_is_told_by_its_name() -> None:
    found = prompts_of(("small", "small-step", "large", "large-step", "largest"))
    assert found["small-step"] == ("small", "step")
    assert found["large"] == ("large", "")
    assert found["largest"] == ("largest", "")
