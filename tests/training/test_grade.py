"""`apportion grade` labels samples by the same extraction and verifiers as online."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from router.errors import RecordingError, UnknownName
from router.recording import Recording
from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording
from training.errors import TrainingError
from training.grade import grade
from training.graders import named_graders

QUERIES = [
    {"query_id": "sum", "query": "2 + 2?", "task": "sum", "gold": "4"},
    {"query_id": "city", "query": "Capital of Peru?", "task": "capital", "gold": "Lima"},
    {"query_id": "open", "query": "Say something.", "task": None, "gold": None},
]
TEXTS = {
    ("sum", "small"): ["2 + 2 = 4", "The answer is 5.", "4.0"],
    ("sum", "large"): ["Answer: 4", "Answer: 4", "Answer: 7"],
    ("city", "small"): ["It is Lima, I think", "Cusco", ""],
    ("city", "large"): ["Answer: Lima", "Answer: Quito", "Answer: Lima"],
    ("open", "small"): ["Hello", "Hi", "Hello"],
    ("open", "large"): ["Hello", "Hello", "Bye"],
}


def made(folder: Path, extra: dict[str, Any] | None = None) -> Path:
    rows = [
        {"query_id": query, "backend": backend, "sample_idx": place, "text": text, "weather": "fine"}
        for (query, backend), texts in TEXTS.items()
        for place, text in enumerate(texts)
    ]
    meta = RecordingMeta("r", {"small": Prices(1, 1), "large": Prices(2, 2)}, extra=extra or {})
    write_recording(folder, meta, pa.Table.from_pylist(QUERIES), pa.Table.from_pylist(rows))
    return folder


def rewards(folder: Path, query: str, backend: str) -> list[float]:
    recording = Recording.load(folder)
    found: list[float] = recording.columns.reward[recording.rows(recording.index_of(query), backend)].tolist()
    return found


def answers(folder: Path, query: str, backend: str) -> list[str | None]:
    return [sample.answer for sample in Recording.load(folder).samples(query, backend)]


def test_each_task_is_judged_by_its_own_verifier(tmp_path: Path) -> None:
    folder = made(tmp_path / "r")
    grade(folder, ["sum=number", "capital=contains:auto"])
    assert rewards(folder, "sum", "small") == [1.0, 0.0, 1.0]
    assert rewards(folder, "city", "small") == [1.0, 0.0, 0.0]
    assert rewards(folder, "city", "large") == [1.0, 0.0, 1.0]
    assert np.isnan(rewards(folder, "open", "large")).all()


def test_answers_are_what_was_extracted(tmp_path: Path) -> None:
    folder = made(tmp_path / "r")
    grade(folder, ["sum=number", "capital=contains:auto"])
    assert answers(folder, "sum", "small") == ["4", "5", "4.0"]
    assert answers(folder, "city", "large") == ["Lima", "Quito", "Lima"]
    assert answers(folder, "city", "small")[2] is None
    assert answers(folder, "open", "small") == [None, None, None]


def test_one_verifier_can_judge_every_task_and_needs_a_gold(tmp_path: Path) -> None:
    folder = made(tmp_path / "r")
    grade(folder, ["contains"])
    assert rewards(folder, "city", "small") == [1.0, 0.0, 0.0]
    assert np.isnan(rewards(folder, "open", "small")).all()


def test_the_recordings_own_graders_are_the_default_and_are_kept(tmp_path: Path) -> None:
    folder = made(tmp_path / "r", {"graders": {"sum": "number"}})
    grade(folder)
    assert rewards(folder, "sum", "large") == [1.0, 1.0, 0.0]
    assert Recording.load(folder).meta.extra["graders"] == {"sum": "number"}
    grade(folder, ["exact:auto"])
    assert Recording.load(folder).meta.extra["graders"] == {"": "exact:auto"}


def test_agreement_with_a_reference_needs_no_gold(tmp_path: Path) -> None:
    folder = made(tmp_path / "r")
    grade(folder, ["agrees"], reference="large")
    assert rewards(folder, "open", "small") == [1.0, 0.0, 1.0]
    assert rewards(folder, "sum", "small")[1:] == [0.0, 1.0]


def test_agreement_without_a_reference_names_the_choices(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError, match="--reference: 'agrees' compares with a backend; choose from small, large"
    ):
        grade(made(tmp_path / "r"), ["agrees"])


def test_grading_twice_changes_nothing_and_another_folder_keeps_the_first(tmp_path: Path) -> None:
    folder = made(tmp_path / "r")
    before = (folder / "samples.parquet").read_bytes()
    grade(folder, ["sum=number"], out=tmp_path / "graded")
    assert (folder / "samples.parquet").read_bytes() == before
    once = (tmp_path / "graded" / "samples.parquet").read_bytes()
    grade(tmp_path / "graded", ["sum=number"])
    assert (tmp_path / "graded" / "samples.parquet").read_bytes() == once


def test_labels_that_are_there_can_stay(tmp_path: Path) -> None:
    folder = made(tmp_path / "r")
    grade(folder, ["sum=number"])
    grade(folder, ["agrees"], reference="small", keep=True)
    assert rewards(folder, "sum", "large") == [1.0, 1.0, 0.0]
    assert rewards(folder, "open", "large") == [1.0, 1.0, 0.0]


def test_unknown_columns_survive_grading(tmp_path: Path) -> None:
    folder = made(tmp_path / "r")
    grade(folder, ["sum=number"])
    assert Recording.load(folder).value(0, "weather") == "fine"


def test_answers_without_texts_are_judged_as_they_are(tmp_path: Path) -> None:
    rows = [{"query_id": "sum", "backend": "small", "sample_idx": 0, "answer": "4"}]
    meta = RecordingMeta("r", {"small": Prices(1, 1)})
    write_recording(tmp_path / "r", meta, pa.Table.from_pylist(QUERIES), pa.Table.from_pylist(rows))
    grade(tmp_path / "r", ["number"])
    assert rewards(tmp_path / "r", "sum", "small") == [1.0]


@pytest.mark.parametrize(
    ("verifier", "words"),
    [
        ("numbr", "unknown verifier 'numbr'; choose from agrees"),
        ("number:nope", "unknown answer kind 'nope'; choose"),
    ],
)
def test_a_wrong_verifier_is_named_with_the_choices(tmp_path: Path, verifier: str, words: str) -> None:
    with pytest.raises(UnknownName, match=words):
        grade(made(tmp_path / "r"), [f"sum={verifier}"])


def test_a_task_that_no_query_has_is_named_with_the_choices(tmp_path: Path) -> None:
    folder = made(tmp_path / "r")
    with pytest.raises(TrainingError, match="no query has the task 'sums'; choose from capital, sum"):
        grade(folder, ["contains", "sums=number"])
    assert all(np.isnan(rewards(folder, "sum", "small")))


def test_a_recording_that_names_no_grader_asks_for_one(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="say --verifier; choose from exact, number"):
        grade(made(tmp_path / "r"))


def test_a_damaged_recording_is_not_graded(tmp_path: Path) -> None:
    folder = made(tmp_path / "r")
    (folder / "samples.parquet").write_bytes(b"nothing")
    with pytest.raises(RecordingError, match=r"samples\.parquet"):
        grade(folder, ["number"])


def test_a_grader_is_of_a_task_or_of_all() -> None:
    assert named_graders(["exact", "a=number", "b=c=contains:auto"]) == {
        "": "exact",
        "a": "number",
        "b=c": "contains:auto",
    }
