"""The suite `sampling` on recordings whose truth is known."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from router.plugins import resolve
from router.recording import Recording
from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording
from router.stopping.beta import Beta
from router.stopping.vote_replay import stops
from training.decision_rows import cost_of_samples
from training.decisions_file import DecisionsFile, read_decisions
from training.errors import NotEnoughData
from training.figures.spread import Spread
from training.run_suite import Skipped, run_suite
from training.sampling.problem import Problem, problems_of
from training.sampling.runs import local_classes, runs_of
from training.sampling.worth import Lattice, worth_of
from training.suites import Figures, Run
from training.suites.sampling import SUBJECTS
from training.suites.sampling.decided import Decided, Order, as_rows
from training.suites.sampling.figures import SamplingFigures
from training.suites.sampling.run_splits import Job, decide_splits
from training.suites.sampling.suite import Sampling

VOTE_SUBJECTS = tuple(
    name for name in SUBJECTS if name in ("fixed", "beta", "window", "dirichlet", "majority_certificate")
)


def write_world(folder: Path, shares: list[list[float]], samples: int = 10, seed: int = 0) -> Path:
    """One backend; query i answers class j with probability `shares[i][j]`, class 0 is right."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"q{query:04d}", index, f"{query} is {kind}", float(kind == 0))
        for query, share in enumerate(shares)
        for index, kind in enumerate(rng.choice(len(share), samples, p=share).tolist())
    ]
    ids, index, answer, reward = zip(*rows, strict=True)
    texts = [f"question number {query} of {len(share)}" for query, share in enumerate(shares)]
    write_recording(
        folder,
        RecordingMeta(name=folder.name, prices={"one": Prices(1.0, 1.0)}),
        pa.table({"query_id": [f"q{query:04d}" for query in range(len(shares))], "query": texts}),
        pa.table(
            {
                "query_id": ids,
                "backend": ["one"] * len(ids),
                "sample_idx": pa.array(index, pa.int32()),
                "answer": answer,
                "reward": pa.array(reward, pa.float32()),
                "tokens_in": pa.array([10] * len(ids), pa.int32()),
                "tokens_out": pa.array(rng.integers(5, 40, len(ids)), pa.int32()),
            }
        ),
    )
    return folder


def mean(figures: Figures, subject: str, figure: str) -> float:
    value = figures[subject][figure]
    return value.mean if isinstance(value, Spread) else value


def measure(
    folder: Path, decisions: Path | None = None, subjects: tuple[str, ...] = tuple(SUBJECTS)
) -> Figures:
    recording, suite = Recording.load(folder), Sampling(subjects, splits=6)
    if decisions is None:
        return suite.run(recording, folder, Run(workers=1))
    with DecisionsFile(decisions) as file:
        return suite.run(recording, folder, Run(workers=1, write=lambda rows: file.write(rows, recording)))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Easy queries, queries whose right answer is a small plurality, and hopeless ones."""
    kinds = [[0.9, 0.1], [0.45, 0.2, 0.2, 0.15], [0.05, 0.35, 0.3, 0.3]]
    return write_world(tmp_path_factory.mktemp("sampling") / "mixed", [kinds[q % 3] for q in range(120)])


@pytest.fixture(scope="module")
def measured(mixed: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Figures, Path]:
    path = tmp_path_factory.mktemp("decisions") / "out.parquet"
    return measure(mixed, path), path


@pytest.fixture(scope="module")
def problem(mixed: Path) -> Problem:
    return next(problems_of(Recording.load(mixed), 0))


def test_every_figure_comes_out_of_the_decisions_file_again(
    mixed: Path, measured: tuple[Figures, Path]
) -> None:
    figures, path = measured
    recording = Recording.load(mixed)
    again = SamplingFigures(recording)
    for rows in read_decisions(path, {"mixed": recording}):
        again.take(rows)
        np.testing.assert_allclose(rows.cost, cost_of_samples(rows, recording), rtol=1e-12)
    recomputed = again.figures()
    assert set(recomputed) == set(figures) >= set(SUBJECTS)
    for subject, found in figures.items():
        assert recomputed[subject] == found, subject


def test_the_reference_is_the_mean_majority_of_eight_of_ten(problem: Problem) -> None:
    seen, right = problem.recording.columns, np.zeros(len(problem.queries))
    for number in range(50):
        for query, rows in enumerate(problem.order(number)[:, :8].tolist()):
            votes = Counter(problem.recording.answers[seen.answer[row]] for row in rows)  # first come, first
            right[query] += votes.most_common(1)[0][0].endswith(" is 0")
    np.testing.assert_allclose(runs_of(problem, 50).reference, right / 50)


def test_an_order_is_a_permutation_of_the_querys_samples(problem: Problem) -> None:
    assert (np.sort(problem.order(3), axis=1) == problem.rows).all()
    assert (problem.order(3) != problem.order(4)).any()


def test_answers_are_majorities_and_rules_stop_where_they_would(
    mixed: Path, measured: tuple[Figures, Path]
) -> None:
    recording, checked = Recording.load(mixed), 0
    for rows in read_decisions(measured[1], {"mixed": recording}):
        assert rows.answers is not None
        for at in range(0, len(rows), 23):
            if rows.key.operating_point.startswith("verified@"):
                break
            drawn = rows.sample_row[rows.samples_from[at] : rows.samples_from[at + 1]]
            answers = [recording.answers[recording.columns.answer[row]] for row in drawn]
            assert rows.answers[rows.answer[at]] == Counter(answers).most_common(1)[0][0]
            assert len(set(drawn.tolist())) == len(drawn)
            if rows.key.subject == "beta":
                classes = np.array([[sorted(set(answers)).index(answer) for answer in answers]])
                rule = Beta(float(rows.plans[0]))
                assert stops(rule, classes, max_samples=10)[0] == len(drawn)
                assert len(drawn) == 10 or stops(rule, classes[:, :-1], max_samples=10)[0] == len(drawn) - 1
            checked += 1
    assert checked > 500


def test_where_all_samples_agree_one_is_enough(tmp_path: Path) -> None:
    figures = measure(write_world(tmp_path / "same", [[1.0], [0.0, 1.0]] * 40), subjects=("fixed", "oracle"))
    for subject in ("fixed", "oracle"):
        assert mean(figures, subject, "saved@0.1pt") == pytest.approx(90.0)
        assert mean(figures, subject, "realised_loss@0.1pt") == 0.0
    assert mean(figures, "fixed", "reference") == pytest.approx(0.5)


def test_a_rule_that_reads_votes_beats_a_fixed_number_where_most_queries_are_easy(tmp_path: Path) -> None:
    shares = [[0.97, 0.03]] * 160 + [[0.5, 0.1, 0.1, 0.1, 0.1, 0.1]] * 80
    figures = measure(write_world(tmp_path / "easy", shares, 20), subjects=("fixed", "beta"))
    assert mean(figures, "beta", "mean_samples") < 0.8 * mean(figures, "fixed", "mean_samples")
    assert mean(figures, "beta", "realised_loss@0.5pt") < 1.0


def test_nobody_is_better_than_the_oracle(measured: tuple[Figures, Path]) -> None:
    figures, _ = measured
    for subject in VOTE_SUBJECTS:
        assert mean(figures, subject, "accuracy") <= mean(figures, "oracle", "accuracy")
    assert mean(figures, "oracle", "realised_loss@0.5pt") <= 0.0


def test_savings_are_the_samples_that_were_not_drawn(measured: tuple[Figures, Path]) -> None:
    for subject, found in measured[0].items():
        if subject == "round_robin":
            continue
        drawn = mean(measured[0], subject, "mean_samples")
        assert mean(measured[0], subject, "saved@0.5pt") == pytest.approx(100 * (1 - drawn / 10)), subject
        assert found["queries"] == 120


def test_decisions_do_not_depend_on_the_labels_of_the_measured_half(mixed: Path, problem: Problem) -> None:
    subjects = tuple(one for one in SUBJECTS if one != "oracle")
    hidden = np.isin(problem.recording.columns.query, problem.queries[problem.halves(7) == 1])
    reward = problem.recording.columns.reward
    flipped = np.where(hidden, 1 - reward, reward).astype(np.float32)
    columns = replace(problem.recording.columns, reward=flipped)
    other = replace(problem, recording=replace(problem.recording, columns=columns))
    job = Job(mixed, 0, "one", (7,), subjects)
    one, two = decide_splits(problem, job).decided, decide_splits(other, job).decided
    assert len(one) >= 4 * len(subjects)
    for mine, theirs in zip(one, two, strict=True):
        assert (mine.subject, mine.point, mine.label) == (theirs.subject, theirs.point, theirs.label)
        if not mine.point.startswith("verified@"):  # there a verifier tells what passed, as it comes
            np.testing.assert_array_equal(mine.stops, theirs.stops)


def test_queries_with_fewer_samples_are_left_out_and_counted(tmp_path: Path) -> None:
    folder = write_world(tmp_path / "world", [[0.8, 0.2]] * 70, 10)
    recording = Recording.load(folder)
    kept = [row for row in range(700) if row % 10 < 6 or row >= 50]  # the first five queries have six
    write_recording(
        tmp_path / "cut",
        recording.meta,
        pa.table(
            {
                "query_id": [q.query_id for q in recording.queries],
                "query": [q.query for q in recording.queries],
            }
        ),
        recording.sample_table.take(recording.file_row[kept]),
    )
    (found,) = problems_of(Recording.load(tmp_path / "cut"), 0)
    assert (found.most, len(found.queries), found.left_out) == (10, 65, 5)


def test_samples_without_a_label_are_not_drawn_and_do_not_cost_their_query(tmp_path: Path) -> None:
    recording = Recording.load(write_world(tmp_path / "world", [[0.8, 0.2]] * 70, 10))
    blind = np.arange(700) % 10 == (np.arange(700) // 10) % 10  # one of every query, at another place in each
    reward = np.where(blind, np.nan, recording.columns.reward).astype(np.float32)
    (found,) = problems_of(replace(recording, columns=replace(recording.columns, reward=reward)), 0)
    assert (found.most, len(found.queries), found.left_out) == (9, 70, 0)
    drawn = found.order(3)
    assert not blind[drawn].any()
    assert (found.recording.columns.query[drawn] == found.queries[:, None]).all()
    assert all(len(set(row)) == 9 for row in drawn.tolist())


def test_a_half_so_small_that_nobody_is_drawn_is_no_error(tmp_path: Path) -> None:
    """At half a sample per query one query gets none."""
    folder = write_world(tmp_path / "one", [[0.8, 0.2]] * 70, 4)
    recording = Recording.load(folder)
    texts = ("And that?", *["What is it?"] * 69)
    queries = tuple(replace(one, query=text) for one, text in zip(recording.queries, texts, strict=True))
    figures = SamplingFigures(replace(recording, queries=queries))
    (problem,) = problems_of(figures.recording, 0)
    local = local_classes(problem)
    for number in range(8):
        for point, subject in (("verified@0.5", "apportion"), ("verified@0.5", "round_robin")):
            one = Decided(subject, number, point, "none", np.array([0]), np.array([0], np.int16))
            figures.take(as_rows(one, Order.of(problem, local, number), problem, subject))
    gain = figures.figures()["apportion"]["allocation_gain@0.5"]
    assert isinstance(gain, Spread) and gain.mean == 0.0


def test_the_reference_is_that_of_the_seeds_that_ran(mixed: Path) -> None:
    recording = Recording.load(mixed)
    (problem,) = problems_of(recording, 7)
    found = Sampling(("fixed",), splits=2).run(recording, mixed, Run(seed=7, workers=1))
    assert mean(found, "fixed", "reference") == pytest.approx(runs_of(problem, 50).reference.mean())


def test_progress_is_told_from_the_start(mixed: Path) -> None:
    told: list[float] = []
    run = Run(workers=1, progress=lambda what, share: told.append(share))
    Sampling(("fixed",), splits=2).run(Recording.load(mixed), mixed, run)
    assert told == [0.0, 0.5, 1.0]


def test_where_answers_are_missing_the_table_is_still_the_rules_own(tmp_path: Path) -> None:
    """One posterior serves every number of votes that may be there at the end."""
    recording = Recording.load(write_world(tmp_path / "world", [[0.5, 0.3, 0.2]] * 60, 8))
    silent = np.random.default_rng(0).random(480) < 0.4
    columns = replace(
        recording.columns, answer=np.where(silent, -1, recording.columns.answer).astype(np.int32)
    )
    (problem,) = problems_of(replace(recording, columns=columns), 0)
    runs = runs_of(problem, 10)
    worth = worth_of(runs, Lattice((3,), (5.0, 0.4), (-30, -20)))
    checked = 0
    for odds in (4, 9, 14):
        for setting in (0, 1):
            rule = worth.rule(odds, setting)
            for state, (votes, drawn) in enumerate(zip(runs.votes, runs.drawn.tolist(), strict=True)):
                if votes:
                    assert worth.settled[odds, setting, state] == rule.settled(votes, 8 - drawn), (
                        votes,
                        drawn,
                    )
                    checked += 1
    assert checked > 500


def test_without_answers_only_what_a_verifier_allows_is_measured(tmp_path: Path) -> None:
    """As of unit-tested code: every vote would be wrong, and whoever draws least would look best."""
    folder = write_world(tmp_path / "code", [[0.5, 0.5]] * 70)
    recording = Recording.load(folder)
    silent = np.full(len(recording.columns.answer), -1, dtype=np.int32)
    recording = replace(recording, columns=replace(recording.columns, answer=silent))
    figures = Sampling(splits=2).run(recording, folder, Run(workers=1))
    told = {name for found in figures.values() for name in found}
    assert any(name.startswith("allocation_gain@") for name in figures["apportion"])
    assert not any(name.startswith(("fewer_than", "saved", "samples@")) for name in told), told


def test_too_few_samples_or_queries_are_skipped(tmp_path: Path) -> None:
    few = run_suite("sampling", [write_world(tmp_path / "few", [[0.9, 0.1]] * 59)], Run(workers=1))["few"]
    assert isinstance(few, Skipped) and "60 queries" in few.why


def test_one_text_for_all_queries_is_skipped(tmp_path: Path) -> None:
    folder = write_world(tmp_path / "one", [[0.8, 0.2]] * 60, 4)
    recording = Recording.load(folder)
    queries = tuple(replace(one, query="What is it?") for one in recording.queries)
    with pytest.raises(NotEnoughData, match="all in one half"):
        Sampling(("fixed",), splits=2).run(replace(recording, queries=queries), folder, Run(workers=1))


def test_every_subject_resolves() -> None:
    assert all(callable(resolve("subject", SUBJECTS, name)) for name in SUBJECTS)
