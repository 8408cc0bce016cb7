"""Samples that are judged alone: read once, and the same numbers as if each were read for what is expected of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from predictors.observation import Sample, Tally
from predictors.sample_head import sample_row
from training.alone_rows import alone_rows, judged_alone
from training.fit.one_head import SampleFit
from training.fit.rows import FitRows, LabelledSample


def made() -> FitRows:
    def sample(number: int, text: str, answer: str | None, tokens: int) -> Sample:
        return Sample(str(number), "one", text, finish_reason="stop", tokens_out=tokens, answer=answer)

    samples = (
        LabelledSample(0, sample(0, "So it is 42.", "42", 9), 1.0),
        LabelledSample(1, sample(1, "I do not know", None, 0), 0.0),
        LabelledSample(1, sample(2, "7 + 5 = 12", "12", 200), 1.0),
    )
    half = np.full((2, 1), 0.5)
    return FitRows(
        ("What is it?", "How many?"), ("one",), half, half, half, np.zeros((2, 1), dtype=bool), samples,
        {"queries": 2.0}, ((0, "a"), (0, "b")),
    )  # fmt: skip


@pytest.mark.parametrize("tokens", [(0.0, 0.0), (1.0, 30.0), (12.5, 0.5)])
def test_rows_are_what_a_single_sample_gives_whatever_is_expected(tokens: tuple[float, float]):
    rows = made()
    found = alone_rows(rows, [0, 1, 2]).expecting(np.array(tokens))
    for place, (query, sample, _) in enumerate(
        (labelled.query, labelled.sample, labelled.reward) for labelled in rows.samples
    ):
        tally = Tally(drawn=1) if sample.answer is None else Tally((1,), (sample.answer,), 1)
        only = sample if sample.answer is None else replace(sample, answer_class=0)
        expected = sample_row(("one",), only, rows.texts[query], tally, 0, tokens[query])
        assert found[place] == pytest.approx(np.array(expected, np.float32), rel=1e-6, abs=1e-7)


def test_what_is_expected_of_one_query_does_not_stay_in_the_rows():
    read = alone_rows(made(), [2, 0])
    before = read.expecting(np.array([5.0, 5.0]))
    read.expecting(np.array([500.0, 500.0]))
    assert np.array_equal(read.expecting(np.array([5.0, 5.0])), before)
    assert read.query.tolist() == [1, 0]


def test_without_a_head_nothing_is_said():
    found = judged_alone(
        alone_rows(made(), [0, 2]), SampleFit(None, {}), np.zeros(2, np.int64), np.full(2, 0.5), np.ones(2)
    )
    assert np.isnan(found).all()
