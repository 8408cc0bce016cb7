"""What states at the looks add in the suite `early_exit`, where it is known what they tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from router.recording import Recording
from router.recordings.format import RecordingMeta, write_recording
from training.figures.spread import Spread
from training.suites import Run
from training.suites.early_exit.states import LEAST_SHARE, along_directions, states_at
from training.suites.early_exit.suite import EarlyExit
from training.suites.early_exit.traces import traces_of

WIDTH = 6


def with_states(folder: Path, out: Path, share: float = 1.0, silent: bool = False) -> Path:
    """A state is noise, and in its first place whether the answer of that look will be the last one's.

    `share` of the looks have one; `silent`: nothing else tells how sure an answer is.
    """
    recording, rng = Recording.load(folder), np.random.default_rng(0)
    rows = recording.sample_table.to_pylist()
    final = {row["query_id"]: row["answer"] for row in rows if row["prefix_tokens"] is None}
    for row in rows:
        if row["prefix_tokens"] is None:
            continue
        row["hidden"] = rng.normal(size=WIDTH).astype(np.float16)
        row["hidden"][0] = 6.0 * (row["answer"] == final[row["query_id"]])
        if rng.random() >= share:
            row["hidden"] = None
        if silent:
            row["confidence"] = None
    schema = recording.sample_table.schema.append(pa.field("hidden", pa.list_(pa.float16())))
    queries = pa.table(
        {
            "query_id": [query.query_id for query in recording.queries],
            "query": [query.query for query in recording.queries],
        }
    )
    table = pa.Table.from_pylist(rows, schema)
    write_recording(out, RecordingMeta(name=out.name, prices=recording.prices), queries, table)
    return out


@pytest.fixture(scope="module")
def told(settled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_states(settled, tmp_path_factory.mktemp("made") / "told", silent=True)


def test_states_that_tell_more_than_the_answers_save_more(told: Path):
    figures = EarlyExit(splits=6, subjects=("best@0.5pt", "states@0.5pt")).run(
        Recording.load(told), told, Run(workers=1)
    )
    more, lost = figures["states@0.5pt"]["saved_by_states"], figures["states@0.5pt"]["lost_by_states"]
    assert isinstance(more, Spread) and isinstance(lost, Spread)
    assert more.lo > 5
    assert abs(lost.mean) < 1
    saved = [figures[one]["tokens_saved"] for one in ("states@0.5pt", "best@0.5pt")]
    assert isinstance(saved[0], Spread) and isinstance(saved[1], Spread)
    assert more.mean == pytest.approx(saved[0].mean - saved[1].mean)
    assert "saved_by_states" not in figures["best@0.5pt"]


def test_without_states_there_is_no_such_subject(settled: Path):
    figures = EarlyExit(splits=2, subjects=("full", "states@0.5pt")).run(
        Recording.load(settled), settled, Run(workers=1)
    )
    assert list(figures) == ["full"]


def test_directions_are_those_of_the_tuning_half(told: Path):
    (traces,) = traces_of(Recording.load(told))
    states = states_at(traces)
    assert states is not None and states.shape == (*traces.rows.shape, WIDTH)
    tuning = np.arange(len(traces)) % 2 == 0
    other = states.copy()
    other[~tuning] *= 50
    first, second = along_directions(states, tuning, 0), along_directions(other, tuning, 0)
    np.testing.assert_allclose(first[tuning], second[tuning])
    assert (first[~tuning] != second[~tuning]).any()
    assert np.isfinite(first).all()


def test_some_states_may_be_missing_but_not_most(settled: Path, tmp_path: Path):
    (some,) = traces_of(Recording.load(with_states(settled, tmp_path / "some", share=LEAST_SHARE + 0.2)))
    states = states_at(some)
    assert states is not None
    found = along_directions(states, np.ones(len(some), dtype=bool), 0)
    assert (found[~np.isfinite(states).all(axis=2)] == 0).all()
    (few,) = traces_of(Recording.load(with_states(settled, tmp_path / "few", share=LEAST_SHARE - 0.2)))
    assert states_at(few) is None
