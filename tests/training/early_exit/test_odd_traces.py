"""The suite `early_exit` on recordings that lack something, and how it chooses among settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from router.recording import Recording
from router.recordings.format import RecordingMeta, write_recording
from training.decision_rows import DecisionRows
from training.figures.spread import Spread
from training.run_suite import Skipped, run_suite
from training.suites import Run
from training.suites.early_exit.settings import Settings
from training.suites.early_exit.suite import EarlyExit
from training.suites.early_exit.traces import traces_of


def changed(folder: Path, out: Path, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Path:
    """The recording with every sample row as `change` makes it; None leaves the row out."""
    recording = Recording.load(folder)
    rows = [row for one in recording.sample_table.to_pylist() if (row := change(one)) is not None]
    queries = pa.table(
        {
            "query_id": [query.query_id for query in recording.queries],
            "query": [query.query for query in recording.queries],
        }
    )
    table = pa.Table.from_pylist(rows, recording.sample_table.schema)
    write_recording(out, RecordingMeta(name=out.name, prices=recording.prices), queries, table)
    return out


def test_a_look_without_a_reward_is_none_and_its_trace_stays(settled, tmp_path):
    """A snapshot before the first token has a state, but no answer and no reward."""
    first = {50}
    folder = changed(
        settled,
        tmp_path / "some",
        lambda row: row | {"reward": None} if row["prefix_tokens"] in first else row,
    )
    (traces,) = traces_of(Recording.load(folder))
    assert (len(traces), traces.unlabelled) == (160, 0)
    assert traces.tokens.min() == 100


def test_a_trace_whose_end_has_no_reward_is_left_out_and_counted(settled, tmp_path):
    def without(row: dict[str, Any]) -> dict[str, Any]:
        lost = row["prefix_tokens"] is None and row["query_id"] < "q0040"
        return row | {"reward": None} if lost else row

    (traces,) = traces_of(Recording.load(changed(settled, tmp_path / "some", without)))
    assert (len(traces), traces.unlabelled) == (120, 40)


def test_nothing_is_stopped_where_there_is_no_answer_yet(settled, tmp_path):
    """As the rules that serve: they do not stop without one, however safe it is."""

    def silent(row: dict[str, Any]) -> dict[str, Any]:
        early = row["prefix_tokens"] is not None and row["prefix_tokens"] < 300
        return row | {"answer": None, "reward": 0.0} if early else row

    folder, blocks = changed(settled, tmp_path / "silent", silent), list[DecisionRows]()
    recording = Recording.load(folder)
    EarlyExit(splits=2).run(recording, folder, Run(workers=1, write=blocks.append))
    seen = recording.columns
    ends = np.concatenate([rows.sample_row[rows.samples_from[1:] - 1] for rows in blocks])
    assert (~seen.finished[ends]).sum() > 100
    assert seen.prefix_tokens[ends][~seen.finished[ends]].min() >= 300


def test_traces_stop_by_confidence_where_no_tentative_answers_were_recorded(settled, tmp_path):
    folder = changed(
        settled,
        tmp_path / "unheard",
        lambda row: row | {"answer": None} if row["prefix_tokens"] is not None else row,
    )
    suite = EarlyExit(splits=6, subjects=("converged", "stated", "confident@0.10"))
    figures = suite.run(Recording.load(folder), folder, Run(workers=1))
    saved = [value.mean for one in figures.values() if isinstance(value := one["tokens_saved"], Spread)]
    assert saved[0] == 0
    assert saved[1] > 40
    assert saved[2] > 20


def test_traces_of_one_question_cannot_be_halved(settled, tmp_path):
    recording = Recording.load(settled)
    queries = pa.table(
        {"query_id": [query.query_id for query in recording.queries], "query": ["the same"] * 160}
    )
    meta = RecordingMeta(name="one", prices=recording.prices)
    write_recording(tmp_path / "one", meta, queries, recording.sample_table)
    outcome = run_suite("early_exit", [tmp_path / "one"], Run(workers=1))["one"]
    assert isinstance(outcome, Skipped)
    assert "too alike" in outcome.why


def offered(lost: list[list[float]], spent: list[float], expected: list[float] | None = None) -> int:
    """The choice among settings that lose and spend so much on traces of 100 tokens; the first stops none."""
    loss = np.array([[0.0] * len(lost[0]), *lost])
    cost = np.array([100.0, *spent])[:, None] * np.ones(loss.shape)
    settings = Settings(("",) * len(loss), (), (), cost, loss, np.arange(len(loss))[:, None] + loss > 0)
    told = None if expected is None else np.array([0.0, *expected])[:, None] * np.ones(loss.shape)
    return settings.chosen(np.ones(loss.shape[1], dtype=bool), caution=0.75, expected=told)


def test_no_loss_among_a_few_traces_is_not_taken_for_none():
    assert offered([[0.0] * 30], [40.0]) == 0
    assert offered([[0.0] * 150], [40.0]) == 1


def test_a_setting_that_the_head_expects_to_lose_is_not_taken_for_its_luck():
    assert offered([[0.0] * 150] * 2, [40.0, 60.0], [0.02, 0.005]) == 2
    assert offered([[0.0] * 150] * 2, [40.0, 60.0], [0.005, 0.005]) == 1


def test_what_the_head_expects_does_not_make_up_for_what_was_lost():
    assert offered([[1.0] * 5 + [0.0] * 145], [40.0], [0.0]) == 0
