"""Did draws depend on something that the propensities do not know? If so, no estimate from this log can be trusted.

Where the logged probabilities are right, 1[drawn = a] - p(a|x) has mean 0 against everything that was known before the
draw, also against what the policy did not read (tenant, task, hour). Each such product is a t test; the least p times
their number (Bonferroni) is the check's. An input that was used and not logged (a caller's override, a broken backend)
shows in whatever it goes along with. When it fails: a confounder that has to do with nothing in the log is invisible to
any test; a share of uniform traffic is what bounds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from training.off_policy.logged import Floats, LoggedRows, Texts
from training.off_policy.student import student

SUSPICIOUS = 1e-3  # corrected p; a night in a thousand is a false alarm
FEWEST = 30  # expected draws and non-draws below which a product is no t test
MOST_GROUPS = 20  # tenants or tasks, the largest
HOURS = 24


@dataclass(frozen=True, slots=True)
class Balance:
    """`p` after correction for all `tests`; `worst` says which product is farthest off, and by how much."""

    p: float
    tests: int
    worst: str

    @property
    def suspicious(self) -> bool:
        """Whether the propensities are not to be believed."""
        return self.p < SUSPICIOUS


def balance(logged: LoggedRows) -> Balance:
    """Test the logged propensities against what was known; with nothing to test p is 1."""
    least, tests, worst = 1.0, 0, "nothing to test"
    for place, digest in enumerate(logged.actions):
        chance = logged.probabilities[:, place]
        if min(chance.sum(), (1 - chance)[chance > 0].sum()) < FEWEST:
            continue
        off = (logged.action == place) - chance
        for name, values in _known(logged):
            if float((values**2 * chance * (1 - chance)).sum()) < FEWEST:
                continue
            tests += 1
            found = student(values * off, logged.cluster)
            if found.standard_error == 0:
                continue
            p = _two_sided(found.value / found.standard_error, found.degrees)
            if p < least:
                least, worst = p, f"{logged.plans[place]} ({digest}) against {name}: drawn {found.value:+.4f}"
    return Balance(min(1.0, least * max(tests, 1)), tests, worst)


def _known(logged: LoggedRows) -> Iterator[tuple[str, Floats]]:
    yield "its propensity", np.ones(len(logged))
    scale = logged.features.std(axis=0)
    for column in np.flatnonzero(scale > 1e-9):
        values = logged.features[:, column]
        yield f"feature {column}", np.clip((values - values.mean()) / scale[column], -4.0, 4.0)
    yield from _groups("tenant", logged.tenant)
    yield from _groups("task", logged.task)
    hour = (logged.time // 3600 % HOURS) * (2 * np.pi / HOURS)
    yield "the hour", np.sin(hour)
    yield "the hour", np.cos(hour)


def _groups(kind: str, values: Texts) -> Iterator[tuple[str, Floats]]:
    names, place, count = np.unique(values, return_inverse=True, return_counts=True)
    if len(names) < 2:
        return
    for group in np.argsort(-count, kind="stable")[:MOST_GROUPS]:
        yield f"{kind} {str(names[group])!r}", (place == group).astype(np.float64)


def _two_sided(statistic: float, degrees: float) -> float:
    from scipy.special import stdtr

    return float(2 * stdtr(degrees, -abs(statistic)))
