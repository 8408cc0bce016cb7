"""What is expected of a sample of the queries a bundle was fitted on: what a price buys on traffic like it.

Held-out signals, no texts. At today's prices the router works out from them which shadow price gives which expected
quality. When it fails: on traffic that is unlike the fit's.
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
    """Signals of m queries; `chars` of their texts; `hours`: share of a day's queries in each of its hours, UTC."""

    names: tuple[str, ...]
    values: Floats = field(compare=False)  # (m, names)
    chars: Floats = field(compare=False)  # (m,)
    hours: tuple[float, ...] = ()  # 24 shares that add up to 1; none: the times are not known

    def signals(self) -> Iterator[dict[str, float]]:
        """The signals of each query."""
        for row in self.values.tolist():
            yield dict(zip(self.names, row, strict=True))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was kept."""
        hours = {"hours": np.array(self.hours)} if self.hours else {}
        return {"names": np.array(self.names), "values": self.values, "chars": self.chars} | hours

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `arrays`; raises `BundleError` for what does not fit."""
        names, values, chars = arrays["names"], arrays["values"], arrays["chars"]
        if values.shape != (len(chars), len(names)) or (len(names) and names.dtype.kind != "U"):
            raise BundleError(f"typical queries: {values.shape} does not fit {len(chars)} x {len(names)}")
        hours = tuple(arrays["hours"].tolist()) if "hours" in arrays else ()
        if len(hours) not in {0, HOURS} or not all(0 <= share <= 1 for share in hours):
            raise BundleError(f"typical queries: hours wants {HOURS} shares in [0, 1], got {len(hours)}")
        return cls(tuple(names.tolist()), values, chars, hours)
