from __future__ import annotations

import pytest

from predictors import Look, Predictions
from predictors.observation import Observation, Query, Sample, Tally
from predictors.untrained import Untrained

QUERY = Query("r", ())


def confidence(votes: tuple[int, ...] = (), own: int | None = None, **fields):
    sample = Sample("0.0", "small", answer_class=own, **fields)
    tally = Tally(votes, tuple(map(str, range(len(votes)))), sum(votes))
    return Untrained().confidence(Observation(QUERY, (sample,), tally=tally), Look()).get("sample_confidence")


def test_nothing_is_said_about_a_query():
    predictions: Predictions = Untrained()
    assert predictions.version == ""
    assert predictions.look(QUERY) == Look()


def test_a_sample_without_any_sign_gets_no_confidence():
    assert confidence() is None
    assert Untrained().confidence(Observation(QUERY), Look()) == {}


def test_a_likelier_path_is_trusted_more_but_never_wholly():
    assert confidence(mean_logprob=-2.0) < confidence(mean_logprob=-0.1) < 0.95


@pytest.mark.parametrize("logprob", [0.0, 0.5, -1e9])
def test_odd_logprobs_stay_probabilities(logprob):
    assert 0 <= confidence(mean_logprob=logprob) <= 1


def test_agreement_grows_with_the_votes_and_shrinks_with_rivals():
    assert confidence((2,), 0) < confidence((6,), 0)
    assert confidence((6, 3), 0) < confidence((6,), 0)
    assert confidence((6, 3), 1) < 0.5


def test_a_single_vote_says_nothing():
    assert confidence((1,), 0) is None


def test_the_lowest_of_what_is_known_counts():
    assert confidence((6,), 0, mean_logprob=-1.0) == confidence(mean_logprob=-1.0)


def test_what_is_said_is_also_said_by_sample():
    seen = Observation(QUERY, (Sample("1.2", "small", confidence=0.9),))
    found = Untrained().confidence(seen, Look())
    assert found["sample_confidence/1.2"] == found["sample_confidence"]
