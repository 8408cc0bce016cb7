"""What states are worth beside text and logprobs, on recordings whose states are made to know or to know nothing."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from router.recording import Recording
from router.recordings.format import RecordingMeta, write_recording
from training.errors import TrainingError
from training.states_worth import fold_figures

pytestmark = pytest.mark.timeout(300)


def with_states(source: Path, folder: Path, knows: float, *, rows: slice = slice(None)) -> Recording:
    """Ten numbers of noise per sample, which tells nothing else; `knows`: how far right answers lie apart in one."""
    samples = pq.read_table(source / "samples.parquet")
    telling = {"text", "mean_logprob", "first_entropy", "confidence", "tokens_out", "chars_out"}
    samples = samples.drop_columns(sorted(telling & set(samples.column_names)))
    samples = samples.take(np.arange(len(samples))[rows])
    rng = np.random.default_rng(3)
    states = rng.normal(size=(len(samples), 10))
    states[:, 4] += knows * np.array(samples.column("reward").to_pylist())
    column = pa.array([state.astype(np.float16) for state in states], pa.list_(pa.float16()))
    queries, prices = pq.read_table(source / "queries.parquet"), Recording.load(source).meta.prices
    meta = RecordingMeta(name=folder.name, prices=prices)
    write_recording(folder, meta, queries, samples.append_column("hidden", column))
    return Recording.load(folder)


@pytest.fixture(scope="module")
def pattern(made: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = made.write_pattern(
        tmp_path_factory.mktemp("worth") / "pattern", 70, samples=2, answers=False
    )
    return folder


def halves(recording: Recording) -> tuple[list[str], list[str]]:
    ids = [query.query_id for query in recording.queries]
    return ids[::2], ids[1::2]


def test_states_that_know_are_worth_something_alone_and_with_all_else_and_noise_is_not(
    pattern: Path, tmp_path: Path
) -> None:
    recordings = {
        "knows": with_states(pattern, tmp_path / "knows", 4.0),
        "noise": with_states(pattern, tmp_path / "noise", 0.0),
    }
    found = fold_figures(recordings, "small", halves(recordings["knows"]), 0, 1)
    assert found["knows"] > 0.9 > found["noise"]
    assert found["text+logprobs+knows"] > 0.9 > found["text+logprobs+noise"]
    assert set(found) == {"text", "text+logprobs"} | {
        f"{also}{name}" for name in recordings for also in ("", "text+logprobs+")
    }


def test_recordings_of_other_samples_are_not_compared(pattern: Path, tmp_path: Path) -> None:
    recordings = {
        "all": with_states(pattern, tmp_path / "all", 4.0),
        "some": with_states(pattern, tmp_path / "some", 4.0, rows=slice(0, -9)),
    }
    with pytest.raises(TrainingError, match="some: its samples are not those of all"):
        fold_figures(recordings, "small", halves(recordings["all"]), 40, 1)
