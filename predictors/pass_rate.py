"""How likely is the next sample right? The pass rate of a query is not a number but a Beta distribution.

From m1 = P(a sample is right) and m2 = P(two samples are both right), rho = (m2 - m1^2) / (m1 - m1^2) is the
correlation of two samples given the query, and matching moments gives Beta(a, b) with a + b = 1/rho - 1 and
a = m1 (a + b). The naive 1 - (1 - m1)^n is far too high. When it fails: pass rates with two humps between 0 and 1.
"""

from __future__ import annotations

from typing import NamedTuple

_RHO = (1e-3, 1 - 1e-3)  # samples are never seen to be wholly independent, nor copies
_M1 = (1e-6, 1 - 1e-6)
# where one sample per query was all that was seen: models repeat themselves more often than not
PRIOR_RHO = 0.6


class Beta(NamedTuple):
    """A distribution of pass rates; a, b > 0."""

    a: float
    b: float

    @property
    def mean(self) -> float:
        """P(the next sample is right)."""
        return self.a / (self.a + self.b)


def correlation(m1: float, m2: float) -> float:
    """rho = (m2 - m1^2) / (m1 - m1^2), kept within [.001, .999]."""
    m1 = min(max(m1, _M1[0]), _M1[1])
    return min(max((m2 - m1 * m1) / (m1 - m1 * m1), _RHO[0]), _RHO[1])


def pass_rate(m1: float, m2: float) -> Beta:
    """The Beta distribution with these two moments; m1, m2 in [0, 1]."""
    m1 = min(max(m1, _M1[0]), _M1[1])
    size = 1 / correlation(m1, m2) - 1
    return Beta(m1 * size, (1 - m1) * size)


def posterior(prior: Beta, right: float, wrong: float) -> Beta:
    """After `right` and `wrong` samples; fractions (a sample that is right with some probability) count in part."""
    return Beta(prior.a + right, prior.b + wrong)
