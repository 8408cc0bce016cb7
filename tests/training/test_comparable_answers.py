"""What can be voted on."""

from __future__ import annotations

import numpy as np

from training.comparable_answers import comparable

QUERY = np.repeat(np.arange(20), 4)


def test_answers_that_are_never_equal_cannot_be_voted_on() -> None:
    different = np.arange(80, dtype=np.int32)
    assert not comparable(QUERY, different)
    alike = different.copy()
    alike[1] = alike[0]
    assert comparable(QUERY, alike)  # on one query of twenty


def test_equal_answers_to_different_queries_do_not_count() -> None:
    assert not comparable(QUERY, np.tile(np.arange(4, dtype=np.int32), 20))


def test_answers_that_are_mostly_missing_cannot_be_voted_on() -> None:
    missing = np.where(np.arange(80) % 4 < 2, 0, -1).astype(np.int32)
    assert comparable(QUERY, missing)
    missing[0] = -1
    assert not comparable(QUERY, missing)


def test_one_sample_of_each_query_cannot_be_voted_on() -> None:
    assert not comparable(np.arange(20), np.zeros(20, np.int32))
    assert not comparable(np.zeros(0, np.int64), np.zeros(0, np.int32))
