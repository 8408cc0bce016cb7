"""Splits depend on a query's normalised text and the seed, and on nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from router.errors import RecordingError
from router.recordings.text_split import normalised, split_by_text


def test_duplicates_up_to_case_and_white_space_fall_on_the_same_side() -> None:
    for seed in range(40):
        first, second = split_by_text(["Capital of France", "capital of  FRANCE"], 2, seed)
        assert first == second
    assert normalised(" ＡB\n c") == "ab c"


def test_a_text_keeps_its_fold_whatever_else_is_split() -> None:
    texts = [f"query {number}" for number in range(500)]
    assert split_by_text(texts, 5, seed=3)[100:].tolist() == split_by_text(texts[100:], 5, seed=3).tolist()


def test_split_shares_are_met_and_seeds_differ() -> None:
    texts = [f"query {number}" for number in range(4000)]
    folds = np.bincount(split_by_text(texts, 5, seed=0), minlength=5) / 4000
    assert np.abs(folds - 0.2).max() < 0.03
    assert np.mean(split_by_text(texts, [0.35, 0.65], seed=1) == 0) == pytest.approx(0.35, abs=0.03)
    assert np.mean(split_by_text(texts, 2, seed=0) == split_by_text(texts, 2, seed=1)) == pytest.approx(
        0.5, abs=0.05
    )


def test_the_split_is_the_same_on_every_machine() -> None:
    assert split_by_text(["one", "two", "three", "four", "five", "six"], 5, seed=0).tolist() == [
        3,
        0,
        3,
        1,
        1,
        1,
    ]


@pytest.mark.parametrize("parts", [0, -1, [], [0.5, 0.0], [float("nan"), 1.0]])
def test_impossible_parts_are_refused(parts: Any) -> None:
    with pytest.raises(RecordingError, match="parts must be"):
        split_by_text(["a"], parts)
