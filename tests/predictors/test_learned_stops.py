"""What a bundle keeps for stopping rules comes back as it was, or is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from predictors.deciding import Deciding
from predictors.errors import BundleError
from predictors.learned_stops import LearnedStops, SelfEvalCurve, VoteStop

VOTES = (VoteStop("small", 16, (0.5, -0.25, 0.125), 0.01), VoteStop("large", 4, (0.1, 0.2, 0.3), 0.0))
BELIEVED = (("small", 0.75), ("large", 1.0))
ASKED = (SelfEvalCurve("small", "Would you?", 0.6, -0.8),)


@pytest.mark.parametrize(
    "stops",
    [
        LearnedStops(),
        LearnedStops(VOTES),
        LearnedStops((), ASKED),
        LearnedStops(VOTES, ASKED, BELIEVED),
        LearnedStops(believed=BELIEVED),
    ],
)
def test_what_was_learned_survives_a_bundle(stops: LearnedStops) -> None:
    arrays = Deciding(stops=stops).arrays()
    assert Deciding.from_arrays(("small", "large"), arrays).stops == stops
    assert all(array.dtype.kind in "Uf" for array in arrays.values())


def test_weights_hold_for_a_backend_and_a_number_of_samples_and_a_calibration_for_a_question() -> None:
    stops = LearnedStops(VOTES, ASKED)
    assert stops.vote_stop("small", 16) == VOTES[0]
    assert stops.vote_stop("small", 8) is None
    assert stops.vote_stop("other", 16) is None
    assert stops.self_eval("small", "Would you?") == ASKED[0]
    assert stops.self_eval("small", "Would you not?") is None
    assert (replace(stops, believed=BELIEVED).belief("small"), stops.belief("small")) == (0.75, 0.0)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("votes", np.zeros((1, 5))),
        ("votes", np.zeros((2, 2))),
        ("votes", np.full((2, 5), np.nan)),
        ("votes_of", np.zeros(2)),
        ("asked", np.zeros((1, 2))),
        ("asked", np.ones((1, 3))),
        ("asked_of", np.array([["small"]])),
        ("believed", np.zeros(2)),
        ("believed", np.array([0.5, np.nan])),
        ("believed", np.array([0.5])),
        ("believed_of", np.array([1.0, 2.0])),
    ],
)
def test_arrays_that_do_not_fit_are_refused(name: str, array: Any) -> None:
    with pytest.raises(BundleError, match="learned stops"):
        LearnedStops.from_arrays(LearnedStops(VOTES, ASKED, BELIEVED).arrays() | {name: array})
