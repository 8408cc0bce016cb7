from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from predictors.errors import FitError
from predictors.observation import Piece
from predictors.sample_head import SampleHead
from router.recording import Recording
from router.recordings.format import write_recording
from training.fit.from_recordings import fit
from training.fit.heads import fit_held_out
from training.fit.rows import rows_of

BACKENDS = ("small", "large")
TRUTH = {"prime": (0.2, 0.8), "river": (0.9, 0.9)}


# --- rows of a recording --------------------------------------------------------------------------------------------


def test_rows_are_those_of_the_named_queries(made):
    rows = rows_of([made], ["q3", "q1"])
    assert rows.ids == ((0, "q1"), (0, "q3"))
    assert {label.query for label in rows.samples} == {0, 1}
    assert rows.counts["queries"] == 2


def test_rewards_that_are_null_are_skipped_and_counted(tmp_path, record):
    rows = rows_of([record(tmp_path / "r", 20, blind_from=15)])
    assert rows.counts["skipped_without_reward"] == 10
    assert rows.counts["queries_without_any_reward"] == 5
    assert np.isnan(rows.reward[15:]).all()


def test_an_id_that_is_not_recorded_is_named(made):
    with pytest.raises(FitError, match="1 query ids are in no recording, the first is 'q-none'"):
        rows_of([made], ["q1", "q-none"])


def test_backends_are_taken_under_the_names_that_serve_them(made):
    rows = rows_of([made], None, "auto", {"cheap": "small", "other": "nowhere"})
    assert rows.backends == ("cheap",)
    assert {label.sample.backend for label in rows.samples} == {"cheap"}


def test_backends_of_which_none_is_recorded_are_refused_with_those_that_are(made):
    with pytest.raises(FitError, match="none of the backends x is recorded; there are small, large"):
        rows_of([made], None, "auto", {"x": "y"})


def test_rows_without_samples_are_those_with_samples_but_for_these(tmp_path, record):
    made = record(tmp_path / "r", 20, draws=3, blind_from=15)
    whole, bare = rows_of([made]), rows_of([made], with_samples=False)
    assert len(whole.samples) == whole.counts["samples"] > 0
    assert bare.samples == ()
    assert bare.counts == whole.counts
    assert (bare.texts, bare.ids) == (whole.texts, whole.ids)
    for name in ("reward", "both", "tokens", "cut"):
        assert np.array_equal(getattr(bare, name), getattr(whole, name), equal_nan=name != "cut")


def test_a_querys_length_is_a_lower_bound_where_a_limit_cut_more_than_half_of_its_samples(tmp_path, record):
    source = record(tmp_path / "r", 6, draws=4)
    table = source.sample_table
    number, small = (table[name].to_pylist() for name in ("sample_idx", "backend"))
    query = [int(name.removeprefix("q")) for name in table["query_id"].to_pylist()]
    # of query k's four samples of small, k are cut
    why = [
        "length" if backend == "small" and at < of else "stop"
        for at, backend, of in zip(number, small, query, strict=True)
    ]
    queries = [{"query_id": one.query_id, "query": one.query} for one in source.queries]
    cut = table.append_column("finish_reason", pa.array(why))
    write_recording(tmp_path / "cut", source.meta, pa.Table.from_pylist(queries), cut)
    rows = rows_of([Recording.load(tmp_path / "cut")])
    assert rows.cut[:, 0].tolist() == [False, False, False, True, True, True]
    assert not rows.cut[:, 1].any()


def test_pairs_of_right_draws_are_counted_without_bias(tmp_path, record):
    rows = rows_of([record(tmp_path / "r", 12, draws=4)])
    for query in range(12):
        drawn = [
            label.reward for label in rows.samples if label.query == query and label.sample.backend == "small"
        ]
        pairs = [one * other for place, one in enumerate(drawn) for other in drawn[place + 1 :]]
        assert len(pairs) == 6
        assert rows.both[query, 0] == pytest.approx(np.mean(pairs))


def test_task_and_gold_are_not_read(tmp_path, made):
    """The same recording under shuffled tasks and without gold gives the same bundle."""
    table = made.sample_table
    queries = pa.table(
        {
            "query_id": [query.query_id for query in made.queries],
            "query": [query.query for query in made.queries],
            "task": [f"other {place % 7}" for place in range(len(made.queries))],
        }
    )
    write_recording(tmp_path / "made", made.meta, queries, table)
    one, other = (
        fit_held_out(rows_of([found]), 3).bundle for found in (made, Recording.load(tmp_path / "made"))
    )
    assert one.version == other.version


def test_what_is_not_named_does_not_matter(tmp_path, record):
    """Blind: rewards of the other queries may be null or not, the bundle is the same bit for bit."""
    ids = [f"q{number}" for number in range(200)]
    whole, blind = record(tmp_path / "a", 260), record(tmp_path / "b", 260, blind_from=200)
    cards = [
        fit([found], ids, None, 4, tmp_path / f"bundle{place}") for place, found in enumerate((whole, blind))
    ]
    assert cards[0].files == cards[1].files


# --- hidden states --------------------------------------------------------------------------------------------------


def with_states(folder: Path, source: Recording, width: int) -> Recording:
    """Vectors of so many numbers for small and of 4 for large; `meta.json` says 4 for both."""
    rng = np.random.default_rng(2)
    names = source.sample_table.column("backend").to_pylist()
    rewards = source.sample_table.column("reward").to_pylist()
    widths = {"small": width, "large": 4}
    states = [
        (rng.normal(size=widths[name]) + 2 * reward).astype(np.float16)
        for name, reward in zip(names, rewards, strict=True)
    ]
    said = [{"part": "prompt_last", "layer": 3, "width": 2}, {"part": "answer_mean", "layer": 3, "width": 2}]
    queries = [{"query_id": one.query_id, "query": one.query} for one in source.queries]
    samples = source.sample_table.append_column("hidden", pa.array(states, pa.list_(pa.float16())))
    meta = replace(source.meta, hidden={"small": said, "large": said})
    write_recording(folder, meta, pa.Table.from_pylist(queries), samples)
    return Recording.load(folder)


def test_a_vector_that_is_not_made_of_what_meta_says_is_opaque_and_the_bundle_reads_it(tmp_path, record):
    recording = with_states(tmp_path / "states", record(tmp_path / "r", 150), 6)
    rows = rows_of([recording])
    pieces = {(one.sample.backend, len(one.sample.hidden), one.sample.pieces) for one in rows.samples}
    made_of = (Piece("prompt_last", 3, 2), Piece("answer_mean", 3, 2))
    assert pieces == {("small", 6, ()), ("large", 4, made_of)}
    head = fit_held_out(rows, 0).bundle.sample_head
    assert head is not None
    again = SampleHead.from_arrays(rows.backends, head.arrays())
    assert again.states is not None
    assert {name: probe.width for name, probe in again.states.probes.items()} == {"small": 6, "large": 4}
