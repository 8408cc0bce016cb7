"""What was learned for deciding, besides heads: risk curves, values of going on, the plan table, stops."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.exits import Exits
from predictors.hop_values import HopValues
from predictors.learned_stops import LearnedStops
from predictors.packing import packed, unpacked
from predictors.plan_table import PlanTable
from predictors.risk_curve import RiskCurves
from predictors.typical_queries import TypicalQueries


@dataclass(frozen=True, slots=True)
class Deciding:
    """Each part is there or not; a bundle without any decides by its heads alone."""

    risks: RiskCurves | None = field(default=None, compare=False)
    hops: tuple[HopValues, ...] = field(default=(), compare=False)  # by the backend that has answered
    table: PlanTable | None = field(default=None, compare=False)
    typical: TypicalQueries | None = field(default=None, compare=False)
    exits: tuple[Exits, ...] = field(default=(), compare=False)  # of backends with traces
    stops: LearnedStops = field(default=LearnedStops(), compare=False)

    def first_look(self, right: NDArray[np.float64]) -> dict[str, float]:
        """Signals before anything is drawn: table_quality/P and helps/P; `right` (B,) is P(right) of each backend."""
        return {} if self.table is None else self.table.signals(float(np.add.reduce(right)) / len(right))

    def after(self, backend: str, signals: Mapping[str, float], confidence: float) -> dict[str, float]:
        """going_on/B of every other backend once one has answered."""
        for values in self.hops:
            if values.backends[values.first] == backend:
                right = [signals.get(f"p_correct/{name}", math.nan) for name in values.backends]
                worth = values.after_one(right, confidence)
                return {
                    f"going_on/{name}": one
                    for name, one in zip(values.backends, worth, strict=True)
                    if name != backend and one == one  # noqa: PLR0124 (not NaN: a backend that is not expected anything of)
                }
        return {}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned; empty where there is nothing."""
        parts: dict[str, Mapping[str, NDArray[Any]]] = {
            f"hop{place}": values.arrays() for place, values in enumerate(self.hops)
        }
        parts |= {f"exits/{one.backend}": one.arrays() for one in self.exits}
        for name, part in (("risks", self.risks), ("table", self.table), ("typical", self.typical)):
            if part is not None:
                parts[name] = part.arrays()
        parts["stops"] = self.stops.arrays()
        return packed(parts)

    @classmethod
    def from_arrays(cls, backends: tuple[str, ...], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `arrays`; raises `BundleError` for what does not fit."""
        risks, table, typical = (unpacked(arrays, name) for name in ("risks", "table", "typical"))
        hops = tuple(unpacked(arrays, f"hop{place}") for place in range(len(backends)))
        return cls(
            RiskCurves.from_arrays(backends, risks) if risks else None,
            tuple(HopValues.from_arrays(backends, one) for one in hops if one),
            PlanTable.from_arrays(table) if table else None,
            TypicalQueries.from_arrays(typical) if typical else None,
            tuple(
                Exits.from_arrays(name, one)
                for name in backends
                if (one := unpacked(arrays, f"exits/{name}"))
            ),
            LearnedStops.from_arrays(unpacked(arrays, "stops")),
        )
