from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors.errors import PredictorError
from predictors.features import FeatureSpec, Featurizer
from predictors.hashing import NgramHasher
from predictors.observation import Message, Part, PartKind, Query, Tool

FEATURIZER = Featurizer(FeatureSpec(bits=12))
NAMES = FEATURIZER.spec.names


def ask(text: str, **changes) -> Query:
    return replace(Query("r", (Message("user", (Part(text=text),)),)), **changes)


def value(features, name: str) -> float:
    return float(features.dense[NAMES.index(name)])


def same(one, other) -> bool:
    return np.array_equal(one.dense, other.dense) and np.array_equal(one.buckets, other.buckets)


def test_every_feature_has_a_name_of_its_own():
    assert len(set(NAMES)) == len(NAMES) == len(FEATURIZER.of_text("x").dense)


@given(st.text(max_size=300))
def test_any_text_gives_finite_features_and_sorted_distinct_buckets(text):
    found = FEATURIZER.of_text(text)
    assert np.isfinite(found.dense).all()
    assert (np.diff(found.buckets) > 0).all()
    assert len(found.buckets) == 0 or 0 <= found.buckets[0] <= found.buckets[-1] < 2**12


@pytest.mark.parametrize("text", ["", " ", "\ud800 broken", "9" * 5000, "1.2.3.4", "?" * 4001, "é" * 3999])
def test_odd_texts_give_finite_features(text):
    assert np.isfinite(FEATURIZER.of_text(text).dense).all()


def test_only_the_first_and_last_2000_characters_are_read():
    head, tail = "Why is it so? " * 143, "Answer with a number. " * 91
    one, other = head[:2000] + "a " * 500 + tail[-2000:], head[:2000] + "b " * 500 + tail[-2000:]
    assert same(FEATURIZER.of_text(one), FEATURIZER.of_text(other))


def test_a_change_at_the_very_end_of_a_long_text_is_seen():
    assert not same(FEATURIZER.of_text("a " * 5000 + "cat"), FEATURIZER.of_text("a " * 5000 + "dog"))


def test_task_hint_metadata_tenant_and_caller_features_are_not_looked_at():
    plain = FEATURIZER(ask("What is 2 + 2?"))
    named = FEATURIZER(
        ask("What is 2 + 2?", task_hint="math", metadata={"x": "y"}, tenant="t", features={"hard": 1.0})
    )
    assert same(plain, named)


def test_a_text_alone_is_the_same_as_a_query_of_one_user_turn():
    assert same(FEATURIZER.of_text("Name a colour."), FEATURIZER(ask("Name a colour.")))


def test_the_last_user_turn_gives_the_words_and_the_rest_its_shape():
    turns = (
        Message("system", (Part(text="Be brief."),)),
        Message("user", (Part(text="Hello"),)),
        Message("assistant", (Part(text="Hi"),)),
        Message("user", (Part(text="Name a colour."), Part(PartKind.IMAGE_URL, image_url="http://x/y.png"))),
    )
    found = FEATURIZER(Query("r", turns, tools=(Tool("search"),), response_format="{}"))
    assert np.array_equal(found.buckets, FEATURIZER.of_text("Name a colour.").buckets)
    assert [value(found, name) for name in ("turns", "user_turns", "assistant_turns", "tools", "images")] == [
        3, 2, 1, 1, 1,
    ]  # fmt: skip
    assert value(found, "log_system_chars") == pytest.approx(np.log1p(9))
    assert value(found, "log_history_chars") == pytest.approx(np.log1p(7))


def test_numbers_options_and_question_words_are_counted():
    found = FEATURIZER.of_text("How many of the 1,000 apples (999.5) are red?\nA. 10\nB. 20")
    assert value(found, "numbers") == 4
    assert value(found, "largest_number") == pytest.approx(np.log10(1001))
    assert value(found, "options") == 2
    assert value(found, "word_how") == value(found, "word_many") == 1
    assert value(found, "share_question_mark") > 0


def test_case_and_white_space_do_not_change_the_buckets():
    assert np.array_equal(
        FEATURIZER.of_text("Name  a\nColour").buckets, FEATURIZER.of_text("name a colour").buckets
    )


def test_an_ngram_has_the_same_bucket_wherever_it_stands():
    hasher = NgramHasher(bits=20, grams=(5,), max_bytes=1000)
    alone = set(hasher.buckets(["photosynthesis"]).tolist())
    later = set(hasher.buckets(["what", "does", "photosynthesis", "do"]).tolist())
    assert len(alone & later) >= 10  # the word and its inner 5-grams
    assert not alone & set(hasher.buckets(["economics"]).tolist())


def test_words_in_another_order_differ_in_their_pairs():
    hasher = NgramHasher(bits=20, grams=(), max_bytes=1000)
    one, other = (set(hasher.buckets(text.split()).tolist()) for text in ("dog bites man", "man bites dog"))
    assert len(one & other) == 3
    assert len(one ^ other) == 4


def test_buckets_spread_evenly():
    hasher = NgramHasher(bits=8, grams=(), max_bytes=400_000)
    counts = np.zeros(256)
    for number in range(20_000):
        counts[hasher.buckets([f"word{number}"])] += 1
    chi_square = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert chi_square < 255 + 5 * np.sqrt(2 * 255)


def test_another_process_with_another_hash_seed_computes_the_same():
    code = (
        "from predictors.features import *; f = Featurizer(FeatureSpec(bits=12)).of_text('What is 2 + 2? Zoë');"
        "print(f.buckets.tolist(), f.dense.tobytes().hex())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    here = FEATURIZER.of_text("What is 2 + 2? Zoë")
    assert runs == {f"{here.buckets.tolist()} {here.dense.tobytes().hex()}\n"}


@pytest.mark.parametrize(
    "change", [{"bits": 13}, {"grams": (4,)}, {"version": 2}, {"embedding": "wordllama"}]
)
def test_the_fingerprint_tells_specs_apart(change):
    spec = FeatureSpec(bits=12)
    assert replace(spec, **change).fingerprint != spec.fingerprint
    assert spec.fingerprint == FeatureSpec(bits=12).fingerprint


def test_an_unknown_embedding_is_refused_with_the_choices():
    with pytest.raises(PredictorError, match="unknown embedding 'bert'; choose from wordllama"):
        Featurizer(FeatureSpec(embedding="bert"))


def test_an_embedding_that_is_not_installed_is_refused_with_what_to_install(monkeypatch):
    monkeypatch.setattr("predictors.embedding.find_spec", lambda name: None)
    with pytest.raises(PredictorError, match=r"pip install '\.\[embed\]' in the checkout"):
        Featurizer(FeatureSpec(embedding="wordllama"))
