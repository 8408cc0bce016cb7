"""The head over returned samples: its two ways to predict agree, and odd rows do no harm."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from predictors.answer_words import AnswerWords
from predictors.errors import BundleError
from predictors.observation import Sample, Tally
from predictors.sample_head import SampleHead, sample_row
from training.fit.one_head import SampleFit
from training.fit.rows import FitRows, LabelledSample
from training.fit.samples import fit_sample_head

BACKENDS = ("small", "large")


def sums(count: int, seed: int = 0, **fields) -> list[LabelledSample]:
    """Sums that are worked out; every second is wrong, and says another result than its terms have."""
    rng = np.random.default_rng(seed)
    found = []
    for query in range(count):
        one, other = rng.integers(2, 50, 2).tolist()
        right = query % 2
        said = one + other + (0 if right else 3)
        text = f"{one} + {other} = {said}\nSo the answer is {said}."
        sample = Sample(
            str(query), BACKENDS[query % 2], text, finish_reason="stop", answer=str(said), tokens_out=12
        )
        found.append(LabelledSample(query, replace(sample, **fields), float(right)))
    return found


def rows_of_samples(samples: list[LabelledSample]) -> FitRows:
    count = 1 + max(labelled.query for labelled in samples)
    blank = np.full((count, 2), np.nan)
    texts = tuple(f"What do the numbers of line {query} make?" for query in range(count))
    return FitRows(texts, BACKENDS, blank, blank, blank, blank > 0, tuple(samples))


def priors(count: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(0.3, 0.7, (count, 2))


def fitted(samples: list[LabelledSample], **options: Any) -> SampleFit:
    rows = rows_of_samples(samples)
    count = len(rows.texts)
    folds = np.arange(count) // 2 % 5
    return fit_sample_head(rows, priors(count), np.full((count, 2), 12.0), folds, 0, **options)


@pytest.fixture(scope="module")
def large_fit() -> SampleFit:
    return fitted(sums(800))


@pytest.fixture(scope="module")
def head(large_fit: SampleFit) -> SampleHead:
    assert large_fit.head is not None
    return large_fit.head


def said(head: SampleHead, sample: Sample, prior: float | None = 0.5) -> float:
    return head.predict(sample, "What do they make?", Tally((1,), (sample.answer or "",), 1), 0, prior, 12.0)


def test_sums_that_do_not_hold_are_distrusted(head):
    fresh = sums(100, seed=5)
    p = np.array([said(head, labelled.sample) for labelled in fresh])
    right = np.array([labelled.reward for labelled in fresh]) == 1
    assert (p[right][:, None] > p[~right]).mean() > 0.97


def test_many_samples_at_once_get_what_each_gets_alone(head):
    fresh, words = [labelled.sample for labelled in sums(40, seed=6)], AnswerWords()
    tally = Tally(drawn=1)
    rows = [sample_row(BACKENDS, sample, "q", tally, 0, 12.0) for sample in fresh]
    prior = np.linspace(0.1, 0.9, 40)
    many = head.many(np.array(rows, np.float32), [words(sample.text) for sample in fresh], prior)
    alone = [
        head.predict(sample, "q", tally, 0, p, 12.0) for sample, p in zip(fresh, prior.tolist(), strict=True)
    ]
    assert many.tolist() == alone


def test_what_is_read_back_says_the_same(head):
    again = SampleHead.from_arrays(BACKENDS, head.arrays())
    for labelled in sums(20, seed=7):
        assert said(again, labelled.sample) == said(head, labelled.sample)


def test_arrays_of_other_features_are_refused(head):
    with pytest.raises(BundleError, match="features"):
        SampleHead.from_arrays(("one",), head.arrays())


@pytest.mark.parametrize(
    "sample",
    [
        Sample("0", "small"),
        Sample("0", "never seen", "1 + 1 = 2"),
        Sample("0", "small", "\ud800 = = <<1", answer="\ud800"),
        Sample("0", "small", "x", mean_logprob=math.nan, first_entropy=math.inf, confidence=-math.inf),
        Sample("0", "large", "9" * 5000, answer="9" * 5000, tokens_out=-1),
        Sample("0", "large", "so far", finished=False, prefix_tokens=0),
    ],
    ids=["empty", "unknown backend", "broken characters", "not finite", "digits", "growing"],
)
def test_any_sample_has_a_probability(head, sample):
    for prior in (None, 0.0, 1.0):
        assert 0.0 <= said(head, sample, prior) <= 1.0


def test_one_class_only_has_no_head():
    same = [replace(labelled, reward=1.0) for labelled in sums(100)]
    assert fitted(same).head is None


def test_a_backend_with_three_samples_takes_part():
    samples = [
        replace(labelled, sample=replace(labelled.sample, backend="large" if labelled.query < 3 else "small"))
        for labelled in sums(200)
    ]
    made = fitted(samples).head
    assert made is not None
    assert (
        said(made, replace(samples[4].sample, backend="large"))
        < 0.5
        < said(made, replace(samples[5].sample, backend="large"))
    )


def test_empty_answers_and_logprobs_that_are_no_numbers_can_be_fitted():
    odd = [
        replace(
            labelled, sample=replace(labelled.sample, mean_logprob=math.nan if labelled.query % 3 else -1.0)
        )
        for labelled in sums(120, text="", answer=None)
    ]
    found = fitted(odd)
    assert found.head is None or 0.0 < said(found.head, odd[0].sample) < 1.0


def test_noise_is_not_sold_as_knowledge():
    rng = np.random.default_rng(0)
    noise = [replace(labelled, reward=float(rng.integers(2))) for labelled in sums(300)]
    head = fitted(noise).head
    spread = 0.0 if head is None else np.std([said(head, labelled.sample) for labelled in sums(60, seed=9)])
    assert spread < 0.15


def test_the_card_says_what_each_member_adds():
    """Nothing came back, and rewards follow what was expected: only the prior knows."""
    blank = sums(400, text="", answer=None)
    draws, expected = np.random.default_rng(2).random(400), priors(400)
    told = [
        replace(labelled, reward=float(draws[row] < expected[row, row % 2]))
        for row, labelled in enumerate(blank)
    ]
    metrics, name = fitted(told).metrics, "brier_skill/sample_blend"
    assert metrics[f"{name}_without_prior"] < metrics[name] > 0
    for member in ("linear", "trees", "blind_trees"):
        assert metrics[f"{name}_without_{member}"] == pytest.approx(metrics[name], abs=0.01)


def test_heads_without_a_fold_are_kept_on_request():
    assert sorted(fitted(sums(100), per_fold=True).folds) == [0, 1, 2, 3, 4]
    assert fitted(sums(100)).folds == {}
