"""Gradient-boosted trees (LightGBM) for targets in [0, 1], with a fast path for one row.

Minimises cross-entropy with soft targets. What is kept is LightGBM's own model text as bytes: no pickle. It predicts
through the C library (see `tree_library`), one row in a quarter of the time of `Booster.predict` and the same number;
LightGBM's Python package is imported to fit alone. When it fails: few rows (below a few hundred the linear learner is
better, unless thresholds are drawn), and values outside of what was seen (trees do not extrapolate).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError, FitError
from predictors.linear import check_columns, check_rows
from predictors.tree_library import Row, RowModel, address
from predictors.tree_text import trees_of

_FEW = 0.5  # share of the features


class Trees:
    """Boosted trees; a predictor. `row` is `predict` for one row."""

    def __init__(
        self,
        rounds: int = 200,
        leaves: int = 15,
        rate: float = 0.06,
        rows_per_leaf: int = 40,
        features: float = 0.6,  # share of the features that a tree may use
        random_cuts: bool = False,  # one drawn threshold per feature instead of the best of all (extra trees)
    ) -> None:
        self.rounds = rounds
        self.leaves = leaves
        self.rate = rate
        self.rows_per_leaf = rows_per_leaf
        self.features = features
        self.random_cuts = random_cuts
        self._text = ""
        self._model: RowModel | None = None
        self._row: Row | None = None

    @property
    def columns(self) -> int:
        """How many features a row has; 0 before the fit."""
        return 0 if self._model is None else self._model.columns

    def fit(
        self, x: NDArray[np.float32], y: NDArray[np.float64], weight: NDArray[np.float64], seed: int
    ) -> Self:
        check_rows(x, y, weight)
        import lightgbm

        options = {
            "objective": "cross_entropy",
            "num_leaves": self.leaves,
            "learning_rate": self.rate,
            "min_data_in_leaf": max(1, min(self.rows_per_leaf, len(x) // 10)),
            "lambda_l2": 5.0,
            "feature_fraction": self.features,
            "extra_trees": self.random_cuts,
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "max_bin": 63,  # enough for counts and shares, and faster to fit
            "seed": seed % 2**31,  # also of the drawn thresholds
            "deterministic": True,
            # the same sums in the same order; reading by columns is faster where trees use few of them
            "force_col_wise" if self.features < _FEW else "force_row_wise": True,
            "num_threads": 1,  # two threads may add in another order
            "verbose": -1,
        }
        try:
            binned = {"verbose": -1, "max_bin": 63, "num_threads": 1}
            rows = lightgbm.Dataset(x, label=y, weight=weight, params=binned)
            # kept as it is: what else is returned has been written and read already, which is done below
            fitted = lightgbm.train(options, rows, num_boost_round=self.rounds, keep_training_booster=True)
        except lightgbm.basic.LightGBMError as error:
            raise FitError(
                f"lightgbm could not fit {x.shape[0]} rows of {x.shape[1]} features: {error}"
            ) from error
        return self._adopt(fitted.model_to_string())

    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        check_columns(x, self.columns)
        if len(x) == 0:
            return np.zeros(0)
        assert self._model is not None  # noqa: S101 (it has columns)
        return self._model.rows(np.ascontiguousarray(x, dtype=np.float32))

    def row(self, x: NDArray[np.float32]) -> float:
        """`predict` for one contiguous row, shape (d,): the same number, much faster."""
        model = self._model
        if model is None or x.shape != (model.columns,):
            raise ValueError(f"x has shape {x.shape}; it was fitted on ({self.columns},)")
        return self.row_at(address(x))

    def row_at(self, at: int) -> float:
        """The same for the row at an `address`, which must have `columns` numbers or more."""
        row = self._row
        if row is None:
            assert self._model is not None  # noqa: S101 (it is fitted)
            row = self._row = self._model.row()
        return row(at)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"model": np.frombuffer(self._text.encode(), dtype=np.uint8)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        model = arrays.get("model")
        if model is None or model.dtype != np.uint8 or model.ndim != 1:
            raise BundleError(f"lightgbm: the model's text as uint8 (n,) is needed, got {sorted(arrays)}")
        found = cls()
        return found._adopt(model.tobytes().decode("utf-8", "replace"))

    def _adopt(self, text: str) -> Self:
        self._text, self._model = text, RowModel(trees_of(text))
        self._row = None
        return self
