"""Recordings of real models are served the same with and without their rewards and gold answers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from router.backends.recorded import QUERY_ID, Recorded
from router.backends.recording_shelf import RecordingShelf
from router.config import BackendConfig
from router.recordings.format import (
    QUERIES,
    QUERY_COLUMNS,
    SAMPLE_COLUMNS,
    SAMPLES,
    read_meta,
    read_table,
    write_recording,
)

RECORDINGS = Path(os.environ.get("APPORTION_RECORDINGS", "../shared/data"))


@pytest.fixture(params=["amc-aime-3b", "anytime-gsm8k", "routellm-gsm8k", "routellm-mtbench"])
def folder(request: pytest.FixtureRequest) -> Path:
    path = RECORDINGS / str(request.param)
    if not path.is_dir():
        pytest.skip(f"no recording at {path}: set APPORTION_RECORDINGS to the folder of real recordings")
    return path


async def test_a_blind_recording_serves_the_same_samples(folder, tmp_path, make_call, draw):
    meta = read_meta(folder)
    queries = read_table(folder / QUERIES, QUERY_COLUMNS)
    samples = read_table(folder / SAMPLES, SAMPLE_COLUMNS)
    without_gold = queries.drop_columns([name for name in queries.column_names if name == "gold"])
    write_recording(tmp_path / "blind", meta, without_gold, samples.drop_columns(["reward"]))
    ids = queries.column("query_id").to_pylist()[:30]
    for name in meta.prices:
        seen, unseen = (
            Recorded(name, BackendConfig(kind="recorded", recording=str(path)), RecordingShelf())
            for path in (folder, tmp_path / "blind")
        )
        for query_id in ids:
            call = make_call(query={"metadata": {QUERY_ID: query_id}}, max_samples=8, width=3, stream=True)
            first, second = await draw(seen, call), await draw(unseen, call)
            assert first.samples
            assert (first.samples, first.deltas, first.meter) == (second.samples, second.deltas, second.meter)
