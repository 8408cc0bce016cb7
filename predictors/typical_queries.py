"""What is expected of a sample of the queries a bundle was fitted on: what a price buys on traffic like it.

Held-out signals, no texts. At today's prices the router works out from them which shadow price gives which expected
quality, and, where a log told their hours, how queries change over a day. When it fails: on traffic that is unlike the
fit's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError

Floats = NDArray[np.float64]
MOST = 400  # queries
HOURS = 24


@dataclass(frozen=True, slots=True)
class TypicalQueries:
    """Signals of m queries; `chars` of their texts; when queries come, where that is known: a log says so."""

    names: tuple[str, ...]
    values: Floats = field(compare=False)  # (m, names)
    chars: Floats = field(compare=False)  # (m,)
    # share of a day's queries in each UTC hour, adding up to 1; none: not known
    hours: tuple[float, ...] = ()
    came: tuple[int, ...] = ()  # the UTC hour of each query, [0, 24); none: not known

    def signals(self) -> Iterator[dict[str, float]]:
        """The signals of each query."""
        for row in self.values.tolist():
            yield dict(zip(self.names, row, strict=True))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was kept."""
        hours = {"hours": np.array(self.hours)} if self.hours else {}
        came = {"came": np.array(self.came, dtype=np.int8)} if self.came else {}
        return {"names": np.array(self.names), "values": self.values, "chars": self.chars} | hours | came

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `arrays`; raises `BundleError` for what does not fit."""
        names, values, chars = arrays["names"], arrays["values"], arrays["chars"]
        if values.shape != (len(chars), len(names)) or (len(names) and names.dtype.kind != "U"):
            raise BundleError(f"typical queries: {values.shape} does not fit {len(chars)} x {len(names)}")
        hours = tuple(arrays["hours"].tolist()) if "hours" in arrays else ()
        if len(hours) not in {0, HOURS} or not all(0 <= share <= 1 for share in hours):
            raise BundleError(f"typical queries: hours wants {HOURS} shares in [0, 1], got {len(hours)}")
        came = tuple(arrays["came"].tolist()) if "came" in arrays else ()
        if len(came) not in {0, len(chars)} or not set(came) <= set(range(HOURS)):
            raise BundleError(
                f"typical queries: came wants {len(chars)} hours below {HOURS}, got {len(came)}"
            )
        return cls(tuple(names.tolist()), values, chars, hours, came)
