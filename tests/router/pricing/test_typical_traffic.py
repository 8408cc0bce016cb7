"""What a bundle knows of the traffic it learned from reaches the prices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from predictors.typical_queries import TypicalQueries
from predictors.untrained import Untrained
from router.pricing.typical import typical_hours


@dataclass(frozen=True)
class Learned:
    typical: TypicalQueries | None


@pytest.mark.parametrize("hours", [(), tuple([1 / 24] * 24)])
def test_the_hours_of_the_log_are_the_bundles(hours):
    typical = TypicalQueries(("p_correct/small",), np.array([[0.5]]), np.array([10.0]), hours)
    assert typical_hours(Learned(typical)) == hours


@pytest.mark.parametrize("predictions", [Untrained(), Learned(None)])
def test_without_typical_queries_no_hours_are_known(predictions):
    assert typical_hours(predictions) == ()
