"""`sample_only`: one backend for all queries, and for each the number of samples that is worth its price."""

from __future__ import annotations

from collections.abc import Mapping

from training.suites.allocation.by_utility import by_utility
from training.suites.allocation.decided import Decided
from training.suites.allocation.known import Known
from training.suites.allocation.operating_points import spaced, with_ends


def sample_only(known: Known) -> Mapping[str, Decided]:
    """At each cost with the backend that does best there on the training queries."""
    families = [
        by_utility(
            known, [at for at, shape in enumerate(known.shapes) if shape.backends == frozenset((place,))]
        )
        for place in range(len(known.problem.backends))
    ]
    return {"sample_only": with_ends(known, spaced(known, families))}
