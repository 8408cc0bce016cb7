"""What each backend would earn on a query, seen from P(right) of each and from the gains of one over another.

Routing needs differences: a head fitted on the difference itself errs less on it than the difference of two heads
(Chen et al. 2020, FrugalML, route on it too), and the mean of both errs least. When it fails: nothing that both
heads get wrong is mended.
"""

from __future__ import annotations

from collections.abc import Sequence


def gain_rows(
    values: Sequence[float], pairs: Sequence[tuple[int, int]], right: Sequence[float]
) -> list[list[float]]:
    """E[reward of the row's backend - reward of the column's], B rows of B, in [-1, 1].

    `values` are the gains of `pairs` of backends (by number), which are all of them, or none; then they are differences
    of `right` (B,), P(right). Python's numbers: for a handful of backends arrays would take longer.
    """
    if not pairs:
        return [[one - other for other in right] for one in right]
    found = [[0.0] * len(right) for _ in right]
    for (one, other), gain in zip(pairs, values, strict=True):
        found[one][other] = gain
        found[other][one] = -gain
    return found


def expected_rewards(
    right: Sequence[float], gains: Sequence[Sequence[float]], share: float = 0.5
) -> list[float]:
    """E[reward of one sample] of each backend, (B,), in [0, 1]: level + (1 - s) (right - level) + s gain over the mean.

    `right` (B,): P(right), whose mean is the level; `gains` B rows of B: row minus column; `share` s: 1 where the
    gains have P(right) in them already.
    """
    count = len(right)
    level = sum(right) / count
    return [
        min(max(level + (1.0 - share) * (one - level) + share * (sum(over) / count), 0.0), 1.0)
        for one, over in zip(right, gains, strict=True)
    ]
