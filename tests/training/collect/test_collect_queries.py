"""The query file of `collect`: three formats say the same, and what is wrong is named with its place."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.collect.queries import read_queries, unread
from training.errors import TrainingError


def test_query_files_of_all_formats_say_the_same(tmp_path: Path) -> None:
    rows = [
        {"query_id": "a", "query": "What, now?", "task": "t", "gold": "4"},
        {"query_id": "b", "query": "é", "task": "", "gold": ""},
    ]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "q.parquet")
    with (tmp_path / "q.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    read = [read_queries(tmp_path / f"q.{suffix}") for suffix in ("jsonl", "parquet", "csv")]
    assert read[0] == read[1] == read[2]
    assert (read[0][1].task, read[0][1].gold) == (None, None)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "it has no queries"),
        ("{", "line 1 is not JSON"),
        ("[]", "row 1: an object is expected"),
        ('{"text": "x", "n": 1}', "row 1: there is no `query` in it; it has text, n"),
        ('{"query": "  "}', "`query` must be a text that is not empty"),
        (
            '{"query": "x", "query_id": 1}\n{"query": "y", "query_id": 1}',
            "row 2 has the query_id '1' of row 1",
        ),
        ('{"query": "x"}\n{"query": "y"}\n{"query": "x"}', "row 3 has the query_id"),
        ('{"question": "x", "answer": 1}', "(query, and where known query_id, task and gold are read)"),
        ('{"query": "x"}\n' * 4, "of row 1 (and so do 2 more rows)"),
    ],
)
def test_a_wrong_query_file_is_refused_with_its_place(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "q.jsonl").write_text(content)
    with pytest.raises(TrainingError) as refused:
        read_queries(tmp_path / "q.jsonl")
    assert "q.jsonl" in str(refused.value) and words in str(refused.value)


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_bytes_that_are_no_utf8_are_named(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"q.{suffix}").write_bytes(b'query\n{"query": "caf\xe9"}\n'[6 * (suffix == "jsonl") :])
    with pytest.raises(TrainingError, match=f"q.{suffix}: is not UTF-8: byte 0xe9"):
        read_queries(tmp_path / f"q.{suffix}")


@pytest.mark.parametrize(("suffix", "text"), [("jsonl", '{"query": "x"}'), ("csv", "query\nx")])
def test_the_mark_that_other_programs_put_before_utf8_is_no_part_of_it(
    tmp_path: Path, suffix: str, text: str
) -> None:
    (tmp_path / f"q.{suffix}").write_text(text, "utf-8-sig")
    assert [query.query for query in read_queries(tmp_path / f"q.{suffix}")] == ["x"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [{"query": "x", "answer": 4, "kind": "sum"}],
            "no query has a `gold`; answer, kind: kept with the queries",
        ),
        ([{"query": "x", "answer": 4}, {"query": "y", "gold": 4}], ""),
        ([{"query": "x", "task": "sum"}], ""),
    ],
)
def test_gold_answers_under_another_name_are_told_before_they_are_missed(
    tmp_path: Path, rows: list[dict[str, object]], said: str
) -> None:
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    told = unread(read_queries(tmp_path / "q.jsonl"))
    assert told.startswith(said) and bool(told) == bool(said)
