"""Texts that are made alike lie near each other, and similar queries say what happened on them."""

from __future__ import annotations

import numpy as np
import pytest

from predictors.errors import BundleError
from predictors.features import FeatureSpec, Featurizer
from predictors.neighbours import Neighbours, prototypes
from predictors.text_space import WIDTH, TextSpace, fit_text_space

SPEC = FeatureSpec(bits=14)


@pytest.fixture(scope="module")
def texts():
    rng = np.random.default_rng(0)
    sums = [f"What is {a} plus {b}?" for a, b in rng.integers(10, 99, (40, 2))]
    rivers = [f"Name the longest river of country number {a}, please." for a in rng.integers(10, 99, 40)]
    featurizer = Featurizer(SPEC)
    return [featurizer.of_text(text).buckets for text in (*sums, *rivers)]


@pytest.fixture(scope="module")
def space(texts):
    return fit_text_space(texts, 2**SPEC.bits, seed=1)


def test_kinds_that_nobody_named_are_told_apart(texts, space):
    places = np.array([space.of(buckets) for buckets in texts])
    near = places @ places.T
    own = np.concatenate([near[:40, :40], near[40:, 40:]]).mean()
    assert own > 0.5 + near[:40, 40:].mean()


def test_coordinates_have_length_one_or_nothing_was_seen_before(space):
    unseen = Featurizer(SPEC).of_text("zzzz").buckets
    unseen = unseen[space.place[unseen] == 0]
    assert not space.of(unseen).any()
    assert not space.of(np.zeros(0, dtype=np.int64)).any()
    known = np.flatnonzero(space.place)
    assert np.linalg.norm(space.of(known)) == pytest.approx(1.0, abs=1e-6)


def test_what_is_read_back_says_the_same_to_the_last_bit(texts, space):
    again = TextSpace.from_arrays(space.arrays())
    for buckets in texts:
        assert (again.of(buckets) == space.of(buckets)).all()


def test_equal_texts_and_seeds_give_equal_spaces(texts, space):
    again = fit_text_space(texts, 2**SPEC.bits, seed=1)
    assert (again.vectors == space.vectors).all()


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_texts_give_a_space_of_zeros(texts, count):
    space = fit_text_space(texts[:count], 2**SPEC.bits, seed=1)
    assert not space.of(texts[0]).any()


def test_a_space_of_another_size_is_refused(space):
    arrays = space.arrays() | {"size": np.array([8])}
    with pytest.raises(BundleError, match="text space"):
        TextSpace.from_arrays(arrays)


@pytest.fixture(scope="module")
def near(texts, space):
    places = np.array([space.of(buckets) for buckets in texts])
    values = np.full((80, 2), np.nan)
    values[:40, 0], values[40:, 0] = 1.0, 0.0
    values[:3, 1] = 0.25  # the others were not labelled
    return places, prototypes(places, values, np.random.default_rng(0))


def test_similar_queries_say_what_happened_on_them(near):
    places, neighbours = near
    found = neighbours.many(places)
    assert found[:40, 0].min() > 0.9
    assert found[40:, 0].max() < 0.1


def test_missing_values_take_no_part(near):
    places, neighbours = near
    assert neighbours.many(places)[:, 1] == pytest.approx(np.full(80, 0.25))


def test_one_text_and_many_agree_but_for_rounding(near):
    places, neighbours = near
    single = np.array([neighbours.of(place) for place in places])
    np.testing.assert_allclose(single, neighbours.many(places), atol=1e-5)


def test_at_most_so_many_prototypes_are_kept(near):
    places, _ = near
    few = prototypes(places, np.ones((80, 1)), np.random.default_rng(0), most=10)
    assert few.places.shape == (10, WIDTH)


def test_neighbours_are_read_back_or_refused(near):
    places, neighbours = near
    again = Neighbours.from_arrays(neighbours.arrays())
    assert (again.of(places[0]) == neighbours.of(places[0])).all()
    with pytest.raises(BundleError, match="neighbours"):
        Neighbours.from_arrays(neighbours.arrays() | {"mean": np.zeros(7)})
