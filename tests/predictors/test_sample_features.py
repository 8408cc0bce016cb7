from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors.observation import Sample, Tally
from predictors.sample_features import NAMES, sample_features


def seen(
    text: str = "", tally: Tally | None = None, query: str = "", prior: float = 0.5, **fields
) -> dict[str, float]:
    found = sample_features(Sample("0.0", "small", text, **fields), query, tally or Tally(), 0, prior, 0.0)
    return dict(zip(NAMES, found, strict=True))


@given(st.text(max_size=200), st.none() | st.floats(), st.none() | st.floats(), st.none() | st.floats(0, 1))
def test_any_sample_gives_one_finite_number_per_name(text, logprob, entropy, stated):
    found = seen(text, mean_logprob=logprob, first_entropy=entropy, confidence=stated)
    assert all(map(math.isfinite, found.values()))


def test_what_the_backend_did_not_say_is_flagged_rather_than_guessed():
    found = seen("ok")
    flags = ("logprob_known", "entropy_known", "confidence_known", "tokens_known", "has_answer", "voted")
    assert [found[name] for name in flags] == [0.0] * 6


@pytest.mark.parametrize(
    ("text", "stated", "wrong"),
    [
        ("3 * 4 = 12 and 12 + 5 = 17", 2, 0),
        ("3 * 4 = 13", 1, 1),
        ("2 + 3 * 4 = 14", 1, 0),
        ("$1,200 / 3 = $400", 1, 0),
        ("10 - 15 = -5", 1, 0),
        ("20% x 50 = 10", 1, 0),
        ("1 / 3 = 0.33", 1, 0),
        ("7 / 0 = 1", 1, 0),
        ("no sums here, 5 apples", 0, 0),
    ],
)
def test_arithmetic_that_does_not_add_up_is_counted(text, stated, wrong):
    found = seen(text)
    assert (found["equations"], found["wrong_equations"]) == (stated, wrong)


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


def test_the_prior_is_passed_on_within_bounds():
    assert seen(prior=0.8)["prior"] == 0.8
    assert math.isfinite(seen(prior=1.0)["prior_logit"])


def test_hedging_and_numbers_of_the_query_are_noticed():
    found = seen("I think it is perhaps 12, not 7", query="What is 5 + 7?")
    assert found["hedges"] == 2
    assert found["query_numbers_used"] == 0.5


def test_a_trace_counts_only_the_tokens_before_the_snapshot():
    growing = seen("so far", finished=False, prefix_tokens=50, tokens_out=900)
    assert growing["log_tokens_out"] == pytest.approx(math.log1p(50))
    assert growing["finished"] == 0.0
