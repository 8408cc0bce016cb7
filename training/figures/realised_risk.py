"""The risk that a policy really ran, from a share of queries on which both it and the reference were run.

After stopping nobody sees what going on would have given; a shadow run does. Of n queries that a policy would have
answered, query i is run in the shadow with chance p_i, and its loss l_i (it stopped or stayed small, was wrong, and the
reference was right) is seen then only: R = 1/n sum s_i l_i / p_i is unbiased (Horvitz & Thompson 1952). The interval
is Student's t over the n terms. When it fails: chances that depend on what is not logged (busy hours); with few losses
the interval is too short, so that under `FEWEST` runs there is no figure at all.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from training.figures.spread import Spread, student_95

FEWEST = 30  # shadow runs whose loss is known


def realised_risk(
    ran: NDArray[np.bool_], chance: NDArray[np.float64], loss: NDArray[np.float64]
) -> Spread | None:
    """`ran` (n,) whether a shadow run with a known loss exists; `chance` (n,) of that, in (0, 1]; `loss` (n,) 0 or 1.

    Queries on which the policy chose the reference itself cannot lose: give them `ran` and chance 1, loss 0. None
    where fewer than `FEWEST` runs at a chance below 1 are known: an absent figure, not a risk of 0.
    """
    if int((ran & (chance < 1)).sum()) < FEWEST and bool((chance < 1).any()):
        return None
    terms = np.where(ran, np.where(ran, loss, 0.0) / chance, 0.0)
    n = len(terms)
    if n < 2:
        return None
    mean, sd = float(terms.mean()), float(terms.std(ddof=1))
    half = student_95(n - 1) * sd / math.sqrt(n)
    return Spread(mean, sd, max(0.0, mean - half), min(1.0, mean + half))
