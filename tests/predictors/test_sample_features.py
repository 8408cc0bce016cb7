from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors.observation import Sample, Tally
from predictors.sample_features import NAMES, sample_features


def seen(text: str = "", tally: Tally | None = None, query: str = "", **fields) -> dict[str, float]:
    found = sample_features(Sample("0.0", "small", text, **fields), query, tally or Tally(), 0, 0.0)
    return dict(zip(NAMES, found, strict=True))


@given(st.text(max_size=200), st.none() | st.floats(), st.none() | st.floats(), st.none() | st.floats(0, 1))
def test_any_sample_gives_one_finite_number_per_name(text, logprob, entropy, stated):
    found = seen(text, mean_logprob=logprob, first_entropy=entropy, confidence=stated)
    assert all(map(math.isfinite, found.values()))


def test_what_the_backend_did_not_say_is_flagged_rather_than_guessed():
    found = seen("ok")
    flags = ("logprob_known", "entropy_known", "confidence_known", "tokens_known", "has_answer", "voted")
    assert [found[name] for name in flags] == [0.0] * 6


def test_votes_for_and_against_the_answer_are_seen():
    tally = Tally((3, 1), ("42", "41"), 4)
    leader, rival = (
        seen("x", tally, answer="42", answer_class=0),
        seen("x", tally, answer="41", answer_class=1),
    )
    assert (leader["own_share"], leader["with_leader"], rival["own_share"], rival["with_leader"]) == (
        0.75,
        1,
        0.25,
        0,
    )


def test_hedging_and_second_thoughts_are_noticed():
    assert seen("It is perhaps 12. Wait, that is a mistake")["hedges"] == 3


def test_a_text_that_breaks_off_is_told_from_one_that_ends():
    ended, cut = seen("3 * 50 = <<3*50=150>>150 in all.\n#### 150"), seen("3 * 50 = <<3*50=1")
    assert (ended["ends_cleanly"], ended["left_open"]) == (1.0, 0.0)
    assert (cut["ends_cleanly"], cut["left_open"], cut["ends_in_digit"]) == (0.0, 1.0, 1.0)


def test_only_the_ends_of_a_long_text_are_read():
    long = "a" * 1999 + " " + "perhaps " * 5000 + "b" * 2000
    assert seen(long)["hedges"] == 0.0


def test_numbers_that_are_not_finite_count_as_not_given():
    found = seen("ok", mean_logprob=math.nan, first_entropy=math.inf, confidence=math.nan)
    assert [found[name] for name in ("logprob_known", "entropy_known", "confidence_known")] == [0.0] * 3


def test_a_trace_counts_only_the_tokens_before_the_snapshot():
    growing = seen("so far", finished=False, prefix_tokens=50, tokens_out=900)
    assert growing["log_tokens_out"] == pytest.approx(math.log1p(50))
    assert growing["finished"] == 0.0
