"""The compiled reader of texts says what Python and numpy say, to the last bit; without it all goes on."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from predictors.compiled import BUILT
from predictors.features import FeatureSpec, Featurizer
from predictors.hashing import NgramHasher

needs_it = pytest.mark.skipif(
    not BUILT, reason="predictors/text_scan.c was not built: there is no C compiler"
)
PIECES = (
    "how ", "(A) ", "B. ", "\n", "\n\n (C) ", "3.5", "1,200", "1.2.3", "...", "http://x ", "```", "____", " $x$ ",
    "\\frac", "is", "the?", "let's", " x ", "n", "９", "\u3000A) ", "9" * 320, "ü", "'you'", "...i...", "\x1c", "\t",
    "\x00", "中文", "\ud800", "1.", ",5", "? ", ".\n", "Ｉ", "İ", "a" * 70,
)  # fmt: skip
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=12), max_size=60).map("".join)
SCRIPT = """
import hashlib, sys
if sys.argv[1] == "without":
    sys.modules["predictors._text_scan"] = sys.modules["predictors._row_sums"] = None
from predictors.compiled import BUILT
from predictors.features import FeatureSpec, Featurizer
found = Featurizer(FeatureSpec()).of_text("If 3 apples cost $4.50, how much are 12?\\n(A) 9\\n(B) 18 é")
print(BUILT, hashlib.sha256(found.dense.tobytes() + found.buckets.tobytes()).hexdigest())
"""


def test_it_is_built_where_there_is_a_c_compiler():
    assert BUILT or shutil.which("cc") is None


@needs_it
@pytest.mark.parametrize(
    "spec", [FeatureSpec(), FeatureSpec(bits=8, grams=()), FeatureSpec(bits=24, grams=(1, 3, 9))]
)
def test_features_are_those_of_numpy_to_the_last_bit(spec):
    compiled, plain = Featurizer(spec), Featurizer(spec, plain=True)

    @example("")
    @example("\n" * 5000)
    @example("9" * 5000)
    @example("1.5," * 2000)
    @example("a b " * 3000)
    @example("é" * 3999)
    @given(texts)
    def check(text):
        one, other = compiled.of_text(text), plain.of_text(text)
        assert np.array_equal(one.dense, other.dense)
        assert np.array_equal(one.buckets, other.buckets)
        assert (one.dense.dtype, one.buckets.dtype) == (other.dense.dtype, other.buckets.dtype)

    check()


@needs_it
@given(texts)
def test_buckets_of_any_joined_text_are_those_of_numpy(text):
    compiled = NgramHasher(bits=14, grams=(4,), max_bytes=9_000)
    plain = NgramHasher(bits=14, grams=(4,), max_bytes=9_000, plain=True)
    assert np.array_equal(compiled.of_joined(text), plain.of_joined(text))


def test_without_it_the_same_numbers_come_out():
    said = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT, how], check=True, capture_output=True, text=True, timeout=60
        ).stdout.split()
        for how in ("with", "without")
    ]
    assert said[1][0] == "False"
    assert said[0][1] == said[1][1]


@needs_it
def test_tables_of_another_shape_are_refused():
    hasher = NgramHasher(bits=10, grams=(5,), max_bytes=100)
    with pytest.raises(ValueError, match="shape"):
        hasher.scanner(classes=bytes([7]) * 256, class_count=7)
    with pytest.raises(ValueError, match="shape"):
        NgramHasher(bits=10, grams=tuple(range(1, 12)), max_bytes=100)
    with pytest.raises(ValueError, match="n-gram"):
        NgramHasher(bits=10, grams=(0,), max_bytes=100)
    with pytest.raises(ValueError, match="many words"):
        hasher.scanner(words=tuple(f"w{n}" for n in range(400)))
