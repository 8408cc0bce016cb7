"""`apportion grade` with a judge."""

from __future__ import annotations

import pyarrow as pa
import pytest

from router.errors import UnknownName
from router.recording import Recording
from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording
from training.errors import JudgeRefused, TrainingError
from training.grade import grade
from training.judging.guard import NULLS
from training.judging.labels import cache_path


@pytest.fixture(name="folder")
def recorded(tmp_path, real, reference_to):
    folder = tmp_path / "r"
    rows = [
        {"query_id": query, "backend": backend, "sample_idx": place, "text": text}
        for query in real
        for backend, texts in (
            ("small", [f"BEST of {query}", "No idea", ""]),
            ("large", [reference_to(query)] * 2),
        )
        for place, text in enumerate(texts)
    ]
    meta = RecordingMeta("r", {"small": Prices(1, 1), "large": Prices(2, 2)})
    table = pa.Table.from_pylist([{"query_id": query, "query": query} for query in real])
    write_recording(folder, meta, table, pa.Table.from_pylist(rows))
    return folder


def test_a_recording_is_labelled_by_a_judge_and_says_so(bench, tmp_path, folder, real):
    text = f'{{ kind = "judge", url = "{bench.url}", model = "honest" }}'
    grade(folder, [text], reference="large", concurrency=4)
    recording = Recording.load(folder)
    for index in range(len(real)):
        assert recording.columns.reward[recording.rows(index, "small")].tolist() == [1.0, 0.0, 0.0]
        assert recording.columns.reward[recording.rows(index, "large")].tolist() == [0.5, 0.5]
    said = recording.meta.extra["judges"][""]
    assert (said["model"], said["comparisons"]) == ("honest", len(bench.bodies))
    assert said["tokens_in"] == 100 * len(bench.bodies)
    assert said["null_scores"] == dict.fromkeys(NULLS, 0.0)
    assert cache_path(folder) == tmp_path / "r.judged.jsonl"
    sent = len(bench.bodies)
    grade(folder, reference="large")
    assert len(bench.bodies) == sent


def test_a_refused_judge_leaves_the_recording_as_it_was(bench, tmp_path, folder):
    before = (folder / "samples.parquet").read_bytes()
    with pytest.raises(JudgeRefused):
        grade(folder, [f'{{ kind = "judge", url = "{bench.url}", model = "longest" }}'], reference="large")
    assert (folder / "samples.parquet").read_bytes() == before


def test_a_backend_of_a_configuration_may_judge(bench, tmp_path, folder):
    config = tmp_path / "router.toml"
    config.write_text(
        f'[backends.big]\nurls = ["{bench.url}"]\nmodel = "honest"\n'
        '[backends.other]\nkind = "scripted"\n'
        '[[plans]]\nname = "p"\nstages = [{ backend = "big" }]\n'
    )

    def written(name: str) -> str:
        return f'{{ kind = "judge", backend = "{name}", config = "{config}" }}'

    with pytest.raises(UnknownName, match="unknown backend 'nobody'; choose from big, other"):
        grade(folder, [written("nobody")], reference="large")
    grade(folder, [written("big")], reference="large")
    assert {body["model"] for body in bench.bodies} == {"honest"}
    assert Recording.load(folder).columns.reward[0] == 1.0


def test_a_judge_without_a_model_says_what_to_write(tmp_path, folder):
    with pytest.raises(TrainingError, match=r'say \{ kind = "judge", url'):
        grade(folder, ["judge"], reference="large")


def test_a_judge_needs_a_reference(tmp_path, folder):
    with pytest.raises(TrainingError, match="compares with a backend; choose from small, large"):
        grade(folder, ["judge"])


def test_a_judges_wrong_option_is_named(tmp_path, folder):
    with pytest.raises(TrainingError, match="unknown option of judge 'modell'"):
        grade(folder, ['{ kind = "judge", modell = "m" }'], reference="large")
