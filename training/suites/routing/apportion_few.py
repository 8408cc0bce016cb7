"""`apportion:few`: fitted on 1,500 labelled queries of the training folds, as at the first weeks of a service."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from training.suites.routing.decided import Decided
from training.suites.routing.learned import learn
from training.suites.routing.operating_points import decide
from training.suites.routing.problem import Fold

FEW = 1500


def apportion_few(fold: Fold) -> Mapping[str, Decided]:
    """Nothing where the training folds have no more than that."""
    if len(fold.train) <= FEW:
        return {}
    some = np.sort(fold.rng("few").permutation(fold.train)[:FEW])
    return {"apportion:few": decide(fold, learn(fold, some).estimates)}
