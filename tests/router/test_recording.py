"""A recording's folder is read exactly, and a damaged one is refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from router.errors import RecordingError, UnknownName
from router.recording import Recording
from router.recordings.cost import Prices
from router.recordings.format import ChangedRecording, RecordingMeta, sha256_of, write_recording
from router.recordings.hidden import HiddenColumn

PRICES = {"small": Prices(0.1, 0.2), "large": Prices(1.0, 2.0)}
QUERIES: list[dict[str, Any]] = [
    {"query_id": "a", "query": "What is 2 + 2?", "task": "sum", "gold": "4"},
    {"query_id": "b", "query": "Capital of France", "task": "capital", "gold": "Paris"},
    {"query_id": "c", "query": "capital of  FRANCE", "task": None, "gold": None},
]
SAMPLES: list[dict[str, Any]] = [
    {
        "query_id": "b",
        "backend": "large",
        "sample_idx": 0,
        "answer": "Paris",
        "reward": 1.0,
        "tokens_out": 10,
    },
    {
        "query_id": "a",
        "backend": "small",
        "sample_idx": 1,
        "answer": "5",
        "reward": 0.0,
        "tokens_out": 20,
    },
    {
        "query_id": "a",
        "backend": "small",
        "sample_idx": 0,
        "answer": "4",
        "reward": 1.0,
        "tokens_out": 30,
    },
    {
        "query_id": "a",
        "backend": "large",
        "sample_idx": 0,
        "answer": None,
        "reward": None,
        "tokens_out": 40,
    },
]


def made(
    folder: Path,
    samples: list[dict[str, Any]] = SAMPLES,
    queries: list[dict[str, Any]] = QUERIES,
) -> Path:
    """Write a recording without going through any check of ours but the checksums."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(queries), folder / "queries.parquet")
    pq.write_table(pa.Table.from_pylist(samples), folder / "samples.parquet")
    sums = {name: sha256_of(folder / name) for name in ("queries.parquet", "samples.parquet")}
    meta = RecordingMeta(name="made", prices=PRICES, licence="Apache-2.0", sha256=sums, extra={"seed": 7})
    (folder / "meta.json").write_text(json.dumps(meta.to_json()))
    return folder


def changed(**columns: object) -> list[dict[str, Any]]:
    """The samples with the same value in every row of some columns."""
    return [sample | columns for sample in SAMPLES]


def test_rows_are_found_by_query_and_backend_in_order_of_index(tmp_path: Path) -> None:
    recording = Recording.load(made(tmp_path / "r"))
    assert [sample.sample_idx for sample in recording.samples("a", "small")] == [0, 1]
    assert [sample.answer for sample in recording.samples("a", "small")] == ["4", "5"]
    assert recording.samples("a", "large")[0].answer is None
    assert recording.samples("c", "small") == ()


def test_columns_carry_the_rewards_in_the_same_order_as_the_rows(
    tmp_path: Path,
) -> None:
    recording = Recording.load(made(tmp_path / "r"))
    rows = recording.rows(recording.index_of("a"), "small")
    assert recording.columns.reward[rows].tolist() == [1.0, 0.0]
    assert np.isnan(recording.columns.reward[recording.rows(0, "large")]).all()


def test_a_recorded_sample_does_not_tell_its_reward(tmp_path: Path) -> None:
    sample = Recording.load(made(tmp_path / "r")).samples("a", "small")[0]
    assert not any("reward" in name or "gold" in name for name in type(sample).__slots__)


def test_the_cost_is_tokens_times_prices(tmp_path: Path) -> None:
    sample = Recording.load(made(tmp_path / "r", changed(tokens_in=100))).samples("b", "large")[0]
    assert sample.cost == pytest.approx((100 * 1.0 + 10 * 2.0) / 1e6)


def test_missing_input_tokens_are_a_quarter_of_the_query(tmp_path: Path) -> None:
    sample = Recording.load(made(tmp_path / "r")).samples("a", "small")[0]
    assert sample.tokens_in == len("What is 2 + 2?") / 4


@pytest.mark.parametrize(
    ("row", "tokens"),
    [
        ({"tokens_out": 7, "chars_out": 400, "text": "abc"}, 7.0),
        ({"tokens_out": None, "chars_out": 50, "text": "abc"}, 12.5),
        ({"tokens_out": None, "chars_out": None, "text": "abcdef"}, 1.5),
        # the median of 10, 20 and 40
        (
            {"tokens_out": None, "chars_out": None, "text": None},
            20.0,
        ),
    ],
)
def test_missing_output_tokens_fall_back_in_the_order_of_the_cost_rule(
    tmp_path: Path, row: dict[str, Any], tokens: float
) -> None:
    others = [{"chars_out": None, "text": None} | sample for sample in SAMPLES]
    others[2] = others[2] | row
    assert Recording.load(made(tmp_path / "r", others)).samples("a", "small")[0].tokens_out == tokens


def test_without_any_length_a_sample_has_one_output_token(tmp_path: Path) -> None:
    recording = Recording.load(made(tmp_path / "r", [sample | {"tokens_out": None} for sample in SAMPLES]))
    assert recording.columns.tokens_out.tolist() == [1.0] * 4


def test_missing_latency_is_a_fifth_of_a_second_and_fifty_tokens_a_second(
    tmp_path: Path,
) -> None:
    sample = Recording.load(made(tmp_path / "r")).samples("a", "small")[1]
    assert (sample.first_token_s, sample.latency_s) == pytest.approx((0.2, 0.2 + 20 / 50))


def test_recorded_latency_is_kept(tmp_path: Path) -> None:
    recording = Recording.load(made(tmp_path / "r", changed(first_token_s=0.5, latency_s=3.0)))
    sample = recording.samples("a", "small")[0]
    assert (sample.first_token_s, sample.latency_s) == (0.5, 3.0)


def test_a_snapshot_costs_its_prefix_and_is_not_a_finished_sample(
    tmp_path: Path,
) -> None:
    snapshot = SAMPLES[2] | {"prefix_tokens": 8, "tokens_out": 999, "answer": "3"}
    later = SAMPLES[2] | {"prefix_tokens": 16, "tokens_out": 999}
    recording = Recording.load(made(tmp_path / "r", [*changed(prefix_tokens=None), later, snapshot]))
    assert [sample.prefix_tokens for sample in recording.snapshots("a", "small", 0)] == [8, 16]
    assert [sample.tokens_out for sample in recording.snapshots("a", "small", 0)] == [
        8.0,
        16.0,
    ]
    assert [sample.prefix_tokens for sample in recording.samples("a", "small")] == [
        None,
        None,
    ]
    assert recording.snapshots("a", "small", 1) == ()


def test_unknown_columns_and_meta_keys_are_kept(tmp_path: Path) -> None:
    recording = Recording.load(made(tmp_path / "r", changed(weather="fine")))
    assert recording.value(0, "weather") == "fine"
    assert recording.meta.extra == {"seed": 7}


def test_hidden_vectors_are_read_on_demand(tmp_path: Path) -> None:
    folder = made(tmp_path / "r", changed(hidden=[0.5, -1.0]))
    vector = Recording.load(folder).hidden(0)
    assert vector is not None and vector.dtype == np.float16 and vector.tolist() == [0.5, -1.0]
    assert Recording.load(folder, hidden=False).hidden(0) is None


def test_a_hidden_vector_of_no_numbers_is_none_and_a_missing_number_is_no_number(tmp_path: Path) -> None:
    vectors: list[list[float | None] | None] = [[], [0.5, None], None, [2.0, 1.0]]
    rows = [row | {"hidden": vector} for row, vector in zip(SAMPLES, vectors, strict=True)]
    recording = Recording.load(made(tmp_path / "r", rows))
    in_order = [vectors[int(place)] for place in recording.file_row]
    column = HiddenColumn(recording)
    for row, vector in enumerate(in_order):
        for found in (recording.hidden(row), column.vector(row)):
            if not vector:
                assert found is None
            else:
                assert found is not None and found.dtype == np.float16
                np.testing.assert_array_equal(found, np.array(vector, np.float16))


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (
            [{"query_id": "a", "sample_idx": 0}],
            ["samples.parquet", "'backend' is missing", "sample_idx"],
        ),
        (
            changed(sample_idx="one"),
            ["samples.parquet", "'sample_idx'", "string", "int32"],
        ),
        (changed(reward=1.5), ["'reward'", "1.5", "[0, 1]"]),
        (changed(confidence=-0.1), ["'confidence'", "-0.1", "[0, 1]"]),
        (changed(tokens_out=-4), ["'tokens_out'", "-4", ">= 0"]),
        (changed(latency_s=float("inf")), ["'latency_s'", "inf", "finite"]),
        (changed(backend="medium"), ["'backend'", "'medium'", "small, large"]),
        (changed(query_id="z"), ["'query_id'", "'z'", "3 ids"]),
        (changed(query_id=None), ["'query_id'", "4 nulls"]),
        ([*SAMPLES, SAMPLES[0]], ["more than once", "'b'", "'large'"]),
    ],
)
def test_a_damaged_sample_file_is_refused_in_words(
    tmp_path: Path, samples: list[dict[str, Any]], words: list[str]
) -> None:
    with pytest.raises(RecordingError) as refused:
        Recording.load(made(tmp_path / "r", samples))
    assert all(word in str(refused.value) for word in words)


def test_a_query_id_may_occur_once_only(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="'a' occurs more than once"):
        Recording.load(made(tmp_path / "r", SAMPLES, [*QUERIES, QUERIES[0]]))


def test_a_changed_file_does_not_match_its_checksum(tmp_path: Path) -> None:
    folder = made(tmp_path / "r")
    pq.write_table(pa.Table.from_pylist(SAMPLES[:2]), folder / "samples.parquet")
    with pytest.warns(ChangedRecording, match=r"samples\.parquet: checksum mismatch"):
        Recording.load(folder)
    assert len(Recording.load(folder, verify=False).columns) == 2


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    folder = made(tmp_path / "r")
    whole = (folder / "samples.parquet").read_bytes()
    (folder / "samples.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecordingError, match="cannot be read as Parquet"):
        Recording.load(folder, verify=False)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not JSON"),
        ("[]", "an object is expected"),
        ("{}", "backends: an object"),
        (
            '{"backends": {"small": {"price_in": 1}}}',
            "backends.small.price_out: dollars per 1M tokens >= 0",
        ),
        ('{"backends": {"small": {"price_in": -1, "price_out": 1}}}', "got -1"),
        ('{"backends": {"small": {"price_in": NaN, "price_out": 1}}}', "got nan"),
    ],
)
def test_damaged_metadata_is_refused_in_words(tmp_path: Path, content: str, words: str) -> None:
    folder = made(tmp_path / "r")
    (folder / "meta.json").write_text(content)
    with pytest.raises(RecordingError) as refused:
        Recording.load(folder)
    assert "meta.json" in str(refused.value) and words in str(refused.value)


def test_a_folder_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"not a recording: it has no meta\.json"):
        Recording.load(tmp_path)
    with pytest.raises(RecordingError, match="there is no such folder"):
        Recording.load(tmp_path / "nowhere")


def test_an_unknown_query_or_backend_is_named(tmp_path: Path) -> None:
    recording = Recording.load(made(tmp_path / "r"))
    with pytest.raises(UnknownName, match="'nope'"):
        recording.samples("nope", "small")
    with pytest.raises(UnknownName, match="'medium'; choose from large, small"):
        recording.samples("a", "medium")


def test_queries_are_found_by_their_exact_text(tmp_path: Path) -> None:
    twins = [*QUERIES, QUERIES[0] | {"query_id": "d"}]
    recording = Recording.load(made(tmp_path / "r", SAMPLES, twins))
    assert recording.queries_with_text("Capital of France") == (1,)
    assert recording.queries_with_text("What is 2 + 2?") == (0, 3)
    assert recording.queries_with_text("What is 2 + 3?") == ()


def test_a_written_recording_reads_back_the_same(tmp_path: Path) -> None:
    before = Recording.load(made(tmp_path / "r", changed(weather="fine")))
    queries, samples = (
        pq.read_table(tmp_path / "r" / name) for name in ("queries.parquet", "samples.parquet")
    )
    meta = write_recording(tmp_path / "w", before.meta, queries, samples)
    after = Recording.load(tmp_path / "w")
    assert after.queries == before.queries and after.answers == before.answers
    assert after.columns.cost.tolist() == before.columns.cost.tolist()
    assert after.sample_table.equals(before.sample_table)
    assert meta.sha256["samples.parquet"] == sha256_of(tmp_path / "w" / "samples.parquet")
    assert sorted(path.name for path in (tmp_path / "w").iterdir()) == [
        "meta.json",
        "queries.parquet",
        "samples.parquet",
    ]


def test_an_unlabelled_recording_without_rewards_or_gold_is_read(
    tmp_path: Path,
) -> None:
    bare = [{key: sample[key] for key in ("query_id", "backend", "sample_idx")} for sample in SAMPLES]
    queries = [{key: query[key] for key in ("query_id", "query")} for query in QUERIES]
    recording = Recording.load(made(tmp_path / "r", bare, queries))
    assert np.isnan(recording.columns.reward).all() and recording.answers == ()
    assert recording.queries[0].gold is None and recording.queries[0].task is None


def test_a_recording_without_samples_is_read(tmp_path: Path) -> None:
    folder = made(tmp_path / "r")
    pq.write_table(
        pq.read_table(folder / "samples.parquet").slice(0, 0),
        folder / "samples.parquet",
    )
    recording = Recording.load(folder, verify=False)
    assert len(recording.columns) == 0 and recording.samples("a", "small") == ()
