"""A backend's own head judges its samples where that is better; the shared one judges all others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from predictors.answer_words import AnswerWords
from predictors.errors import BundleError
from predictors.observation import Sample, Tally
from predictors.sample_head import SampleHead, sample_row
from training.figures.ranking import auroc
from training.fit.one_head import SampleFit, fit_on_rows
from training.fit.own_heads import ENOUGH, better, with_own_heads
from training.fit.rows import FitRows, LabelledSample
from training.fit.samples import fit_sample_head
from training.sample_rows import SampleRows, sample_rows

BACKENDS = ("plain", "odd", "rare")
RARE = 60


def said(query: int, backend: str, rng: np.random.Generator, rare: int = RARE) -> LabelledSample | None:
    """`plain` is right where its sum holds; `odd` where it does not; `rare` answers few queries, as `plain` does."""
    if backend == "rare" and query >= rare:
        return None
    one, other = rng.integers(2, 50, 2).tolist()
    holds = bool(rng.integers(2))
    result = one + other + (0 if holds else 3)
    luck = rng.random() < 0.9
    right = (holds != (backend == "odd")) == luck
    text = f"{one} + {other} = {result}\nSo the answer is {result}."
    sample = Sample(f"{query}", backend, text, finish_reason="stop", answer=str(result), tokens_out=12)
    return LabelledSample(query, sample, float(right))


def world(count: int, seed: int = 0) -> FitRows:
    rng = np.random.default_rng(seed)
    drawn = [said(query, backend, rng) for query in range(count) for backend in BACKENDS]
    blank = np.full((count, 3), np.nan)
    texts = tuple(f"What do the numbers of line {query} make?" for query in range(count))
    return FitRows(texts, BACKENDS, blank, blank, blank, blank > 0, tuple(one for one in drawn if one))


COUNT = 850
FOLDS = np.arange(COUNT) % 5
PRIOR, TOKENS = np.full((COUNT, 3), 0.5), np.full((COUNT, 3), 12.0)


@pytest.fixture(scope="module")
def rows() -> FitRows:
    return world(COUNT)


@pytest.fixture(scope="module")
def made(rows: FitRows) -> SampleRows:
    return sample_rows(rows, PRIOR, TOKENS, FOLDS, np.random.default_rng(0))


@pytest.fixture(scope="module")
def shared(made: SampleRows) -> SampleFit:
    return fit_on_rows(made, BACKENDS, 0, per_fold=True)


@pytest.fixture(scope="module")
def fit(shared: SampleFit, made: SampleRows) -> SampleFit:
    return with_own_heads(shared, made, BACKENDS, 0)


@pytest.fixture(scope="module")
def head(fit: SampleFit) -> SampleHead:
    assert fit.head is not None
    return fit.head


def told(head: SampleHead, sample: Sample) -> float:
    return head.predict(sample, "What do they make?", Tally((1,), (sample.answer or "",), 1), 0, 0.5, 12.0)


def test_backends_with_enough_queries_that_write_differently_get_heads_of_their_own(head):
    assert RARE < ENOUGH < COUNT
    assert sorted(head.own) == ["odd", "plain"]


def test_each_sample_is_judged_by_its_backends_head_and_strange_ones_by_the_shared(head):
    shared, sample = replace(head, own={}), world(4, seed=3).samples[0].sample
    for backend in (*BACKENDS, "never seen"):
        one = replace(sample, backend=backend)
        assert told(head, one) == told(head.own.get(backend, shared), one)


def test_an_own_head_is_what_a_fit_of_its_samples_alone_gives(fit, made, rows):
    """With and without each fold: so it has not seen the labels of the fold that it is without."""
    of_odd = np.flatnonzero([rows.samples[number].sample.backend == "odd" for number in made.number])
    alone = fit_on_rows(made.taken(of_odd), BACKENDS, 0, per_fold=True)
    pairs = [(fit.head, alone.head), *((fit.folds[part], alone.folds[part]) for part in range(5))]
    for served, expected in pairs:
        assert served is not None
        assert expected is not None
        mine, its = served.own["odd"].arrays(), expected.arrays()
        assert mine.keys() == its.keys()
        assert all(np.array_equal(mine[name], its[name]) for name in its)


def test_asking_for_one_backend_changes_nothing_about_it(fit, shared, made, rows):
    only = with_own_heads(shared, made, BACKENDS, 0, only=("odd",))
    assert only.head is not None
    assert list(only.head.own) == ["odd"]
    for labelled in rows.samples[:30]:
        if labelled.sample.backend == "odd":
            assert told(only.head, labelled.sample) == told(fit.head, labelled.sample)
            assert told(only.folds[2], labelled.sample) == told(fit.folds[2], labelled.sample)


def test_many_samples_at_once_get_what_each_gets_alone(head):
    fresh, words = [labelled.sample for labelled in world(70, seed=6).samples], AnswerWords()
    tally = Tally(drawn=1)
    x = np.array([sample_row(BACKENDS, sample, "q", tally, 0, 12.0) for sample in fresh], np.float32)
    prior = np.linspace(0.1, 0.9, len(fresh))
    many = head.many(x, [words(sample.text) for sample in fresh], prior)
    alone = [
        head.predict(sample, "q", tally, 0, p, 12.0) for sample, p in zip(fresh, prior.tolist(), strict=True)
    ]
    assert many.tolist() == alone


def test_what_is_read_back_says_the_same(head):
    again = SampleHead.from_arrays(BACKENDS, head.arrays())
    assert list(again.own) == list(head.own)
    for labelled in world(20, seed=7).samples:
        assert told(again, labelled.sample) == told(head, labelled.sample)


def test_an_own_head_over_other_features_is_refused(head):
    arrays = head.arrays()
    arrays["own/1/linear/row/mean"] = arrays["own/1/linear/row/mean"][:-1]
    arrays["own/1/linear/row/scale"] = arrays["own/1/linear/row/scale"][:-1]
    arrays["own/1/linear/row/coef"] = arrays["own/1/linear/row/coef"][:-1]
    with pytest.raises(BundleError, match="features"):
        SampleHead.from_arrays(BACKENDS, arrays)


def test_the_cards_figures_are_those_of_what_serves(fit, shared):
    metrics, name = fit.metrics, "brier_skill/sample_confidence"
    assert metrics[name] > shared.metrics[name]
    for backend in ("plain", "odd"):
        assert metrics[f"brier_skill/sample_own/{backend}"] > metrics[f"brier_skill/sample_shared/{backend}"]
    assert "brier_skill/sample_own/rare" not in metrics


def test_an_own_head_must_lose_less_both_ways():
    """Squared loss forgives one certain mistake among many good guesses, logarithmic loss does not."""
    y, weight, shared = np.array([1.0] * 99 + [0.0]), np.ones(100), np.full(100, 0.9)
    careful, bold = np.full(100, 0.93), np.array([0.93] * 99 + [1.0])
    assert better(careful, shared, y, weight)
    assert np.mean((bold - y) ** 2) < np.mean((shared - y) ** 2)
    assert not better(bold, shared, y, weight)
    assert not better(shared, shared, y, weight)
    assert not better(np.full(100, 0.5), shared, y, weight)


def test_less_loss_by_luck_is_not_enough():
    """Better on 11 queries and worse on 9, by as much each: less than half a standard error."""
    y, weight, shared = np.ones(20), np.ones(20), np.full(20, 0.8)
    own = np.array([0.82] * 11 + [0.78] * 9)
    assert np.mean((own - y) ** 2) < np.mean((shared - y) ** 2)
    assert not better(own, shared, y, weight)
    assert better(np.tile(own, 40), np.tile(shared, 40), np.ones(800), np.ones(800))
    assert not better(np.tile(own, 40), np.tile(shared, 40), np.ones(800), np.full(800, 1 / 40))


def test_backends_that_write_alike_share_a_head():
    """Twice the samples, and nothing to learn of whose answer it is."""
    rng, blank = np.random.default_rng(4), np.full((COUNT, 3), np.nan)
    alike = tuple(
        replace(one, sample=replace(one.sample, backend=backend))
        for query in range(COUNT)
        for backend in ("plain", "odd")
        if (one := said(query, "plain", rng))
    )
    texts = tuple(f"line {query}" for query in range(COUNT))
    rows = FitRows(texts, BACKENDS, blank, blank, blank, blank > 0, alike)
    found = fit_sample_head(rows, PRIOR, TOKENS, FOLDS, 0)
    assert found.head is not None
    assert found.head.own == {}
    assert not [name for name in found.metrics if "/sample_own/" in name]


def test_a_hundred_labelled_queries_are_enough_to_see_what_no_sum_of_features_says():
    """Right is whether the sum holds, or the contrary: which of them depends on the backend."""
    few, fresh = world(100, seed=5), world(300, seed=6)
    seen, judged = (
        sample_rows(one, PRIOR[: len(one.texts)], TOKENS[: len(one.texts)], FOLDS[: len(one.texts)],
                    np.random.default_rng(0)) for one in (few, fresh)
    )  # fmt: skip
    found = fit_on_rows(seen, BACKENDS, 0).head
    assert found is not None
    assert auroc(found.many(judged.x, judged.words, judged.prior), judged.y > 0) > 0.75
