"""Words that queries of a kind share are removed, and nothing else."""

from __future__ import annotations

import shutil

import pyarrow.parquet as pq
import pytest

from router.recording import Recording
from training.demo import HOUSE
from training.demonstration.kind_words import NOTHING_LEFT, stripped, without_kind_words
from training.errors import NotEnoughData


def test_what_many_of_a_kind_say_is_removed_whatever_its_case():
    texts = ["Add 3 and 5", "add 4 and seven", "ADD 6 with 1", *["add 2 2"] * 9]
    assert stripped(texts, ["sum"] * 12)[:3] == ["3 5", "4 seven", "6 with 1"]


def test_a_word_of_one_kind_stays_in_another():
    texts = ["sum of 1", "sum of 2", "the sum", *[f"the {word}" for word in "abcdefgh"]]
    assert stripped(texts, ["x", "x", *["y"] * 9])[:3] == ["1", "2", "sum"]
    assert stripped(["add"], ["sum"]) == [NOTHING_LEFT]


def test_queries_without_a_kind_stay_as_they_are():
    assert stripped(["sum of 1", "sum of 2"], [None, None]) == ["sum of 1", "sum of 2"]


def test_the_copy_has_the_same_outcomes_under_other_texts(tmp_path):
    without_kind_words(HOUSE, tmp_path / "house")
    before, after = Recording.load(HOUSE), Recording.load(tmp_path / "house")
    assert [query.query_id for query in before.queries] == [query.query_id for query in after.queries]
    assert (before.columns.reward == after.columns.reward).all()
    longer = sum(
        len(one.query) > len(other.query) for one, other in zip(before.queries, after.queries, strict=True)
    )
    assert longer > 0.95 * len(before.queries)


def test_a_recording_without_kinds_is_refused(tmp_path):
    shutil.copytree(HOUSE, tmp_path / "plain")
    table = pq.read_table(tmp_path / "plain" / "queries.parquet").drop_columns(["task"])
    pq.write_table(table, tmp_path / "plain" / "queries.parquet")
    with pytest.raises(NotEnoughData, match="no `task`"):
        without_kind_words(tmp_path / "plain", tmp_path / "out")
