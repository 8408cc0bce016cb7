"""Decisions survive the file: what is read back is what was decided."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow.parquet as pq
import pytest

from router.errors import RecordingError
from router.recording import Recording
from training import decisions_file
from training.decision_rows import DecisionRows, Named, RowKey, answering_row, cost_of_samples
from training.decisions_file import DecisionsFile, find_rows, read_decisions, schema
from training.suites.routing.decided import as_rows, single_plans
from training.suites.routing.problem import folds_by_text, routing_problem
from training.suites.routing.random_mix import random_mix


@pytest.fixture
def recording(made: ModuleType, tmp_path: Path) -> Recording:
    return Recording.load(made.write_pattern(tmp_path / "pattern", 120, 3))


def blocks(recording: Recording) -> list[DecisionRows]:
    problem = routing_problem(recording, 0)
    fold = folds_by_text(problem)[0]
    return list(as_rows(random_mix(fold)["random_mix"], problem, "random_mix", 0, fold.test))


def vote(recording: Recording) -> DecisionRows:
    """The first query's three small samples; its answer is that of the second."""
    rows = recording.rows(0, "small")
    places = np.arange(rows.start, rows.stop)
    return DecisionRows(
        key=RowKey("replay", recording.name, "vote", 0, 0, "only"),
        query=np.array([0], np.int32),
        plans=("vote",),
        plan=np.array([0], np.int32),
        samples_from=np.array([0, 3], np.int32),
        sample_row=places,
        answer=recording.columns.answer[places[1:2]],
        cost=recording.columns.cost[places].sum(keepdims=True),
        probabilities=Named.dense({"vote": np.ones(1)}, 1),
        signals=Named.dense({}, 1),
    )


def test_what_is_read_is_what_was_written(recording: Recording, tmp_path: Path) -> None:
    written = [*blocks(recording), vote(recording)]
    with DecisionsFile(tmp_path / "out.parquet") as file:
        for rows in written:
            file.write(rows, recording)
    read = list(read_decisions(tmp_path / "out.parquet", {recording.name: recording}))
    assert [rows.key for rows in read] == [rows.key for rows in written]
    for one, other in zip(read, written, strict=True):
        assert one.query.tolist() == other.query.tolist()
        assert one.sample_row.tolist() == other.sample_row.tolist()
        assert one.samples_from.tolist() == other.samples_from.tolist()
        assert one.cost.tolist() == other.cost.tolist()
        assert [one.plans[code] for code in one.plan] == [other.plans[code] for code in other.plan]
        for plan in other.plans:
            assert np.array_equal(
                np.nan_to_num(one.probabilities.column(plan)), np.nan_to_num(other.probabilities.column(plan))
            )
        assert answering_row(one, recording).tolist() == answering_row(other, recording).tolist()


def test_blocks_are_found_again_across_row_groups(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions_file, "ROW_GROUP", 30)
    written = blocks(recording)
    with DecisionsFile(tmp_path / "out.parquet") as file:
        for rows in written:
            file.write(rows, recording)
    table = pq.read_table(tmp_path / "out.parquet")
    pq.write_table(table, tmp_path / "other.parquet", row_group_size=7)  # groups end inside of blocks
    read = list(read_decisions(tmp_path / "other.parquet", {recording.name: recording}))
    assert [(rows.key, len(rows)) for rows in read] == [(rows.key, len(rows)) for rows in written]


def test_the_file_has_the_columns_and_types_of_the_format(recording: Recording, tmp_path: Path) -> None:
    with DecisionsFile(tmp_path / "out.parquet") as file:
        file.write(vote(recording), recording)
    assert pq.read_schema(tmp_path / "out.parquet").remove_metadata().equals(schema())


def test_a_failed_run_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), DecisionsFile(tmp_path / "out.parquet"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_the_answer_comes_from_the_sample_that_gives_it(recording: Recording) -> None:
    rows = vote(recording)
    found = answering_row(rows, recording)[0]
    assert recording.columns.answer[found] == rows.answer[0]


def test_the_cost_of_a_vote_is_that_of_its_samples(recording: Recording) -> None:
    rows = vote(recording)
    assert cost_of_samples(rows, recording) == pytest.approx(rows.cost)


def test_a_sample_that_was_not_recorded_is_named(recording: Recording) -> None:
    one = np.zeros(1, np.int64)
    with pytest.raises(RecordingError, match="no sample 7 of 'small' for query 'q0000'"):
        find_rows(recording, one, one, one + 7, one - 1)


def test_rows_of_a_recording_that_is_not_given_are_named(recording: Recording, tmp_path: Path) -> None:
    with DecisionsFile(tmp_path / "out.parquet") as file:
        file.write(vote(recording), recording)
    with pytest.raises(RecordingError, match="'pattern' is not given"):
        list(read_decisions(tmp_path / "out.parquet", {"another": recording}))


@pytest.mark.parametrize("content", [b"", b"query_id,plan\n", b"PAR1" * 9])
def test_a_file_that_is_no_parquet_is_named(recording: Recording, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "out.parquet").write_bytes(content)
    with pytest.raises(RecordingError, match=r"out\.parquet: cannot be read as Parquet"):
        list(read_decisions(tmp_path / "out.parquet", {recording.name: recording}))


def test_a_table_of_something_else_is_named(recording: Recording, tmp_path: Path) -> None:
    pq.write_table(recording.sample_table, tmp_path / "out.parquet")
    with pytest.raises(RecordingError, match=r"out\.parquet: is no file of decisions"):
        list(read_decisions(tmp_path / "out.parquet", {recording.name: recording}))


def test_plans_are_named_after_their_backends(recording: Recording) -> None:
    assert [plan.name for plan in single_plans(routing_problem(recording, 0))] == ["small", "large"]
