"""Gradient-boosted trees (LightGBM) for targets in [0, 1], with a fast path for one row.

Minimises cross-entropy with soft targets. What is kept is LightGBM's own model text as bytes: no pickle. One row goes
through the C API's single-row call, a quarter of the time of `Booster.predict` and the same number; it is called
with the interpreter's lock held, which is what makes it safe between threads. When it fails: few rows (below a few
hundred the linear learner is better), and values outside of what was seen (trees do not extrapolate).
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError, FitError
from predictors.linear import check_columns, check_rows

_FLOAT32 = 0  # C_API_DTYPE_FLOAT32
_NORMAL = 0  # C_API_PREDICT_NORMAL: after the logistic function


class Trees:
    """Boosted trees; a predictor. `row` is `predict` for one row."""

    def __init__(
        self,
        rounds: int = 200,
        leaves: int = 15,
        rate: float = 0.06,
        rows_per_leaf: int = 40,
        features: float = 0.6,  # share of the features that a tree may use
    ) -> None:
        self.rounds = rounds
        self.leaves = leaves
        self.rate = rate
        self.rows_per_leaf = rows_per_leaf
        self.features = features
        self._text = ""
        self._booster: Any = None
        self._columns = 0
        self._row: Callable[[NDArray[np.float32]], float] | None = None

    @property
    def columns(self) -> int:
        """How many features a row has; 0 before the fit."""
        return self._columns

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
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "max_bin": 63,  # enough for counts and shares, and faster to fit
            "seed": seed % 2**31,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,  # two threads may add in another order
            "verbose": -1,
        }
        try:
            rows = lightgbm.Dataset(x, label=y, weight=weight, params={"verbose": -1, "max_bin": 63})
            fitted = lightgbm.train(options, rows, num_boost_round=self.rounds)
        except lightgbm.basic.LightGBMError as error:
            raise FitError(
                f"lightgbm could not fit {x.shape[0]} rows of {x.shape[1]} features: {error}"
            ) from error
        return self._adopt(fitted.model_to_string())

    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        check_columns(x, self._columns)
        if len(x) == 0:
            return np.zeros(0)
        found = self._booster.predict(np.ascontiguousarray(x, dtype=np.float32), num_threads=1)
        return np.clip(np.asarray(found, dtype=np.float64), 0.0, 1.0)

    def row(self, x: NDArray[np.float32]) -> float:
        """`predict` for one contiguous row, shape (d,): the same number, much faster."""
        if x.shape != (self._columns,):
            raise ValueError(f"x has shape {x.shape}; it was fitted on ({self._columns},)")
        if self._row is None:
            self._row = _single_row(self._booster, self._columns)
        return self._row(x)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"model": np.frombuffer(self._text.encode(), dtype=np.uint8)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        model = arrays.get("model")
        if model is None or model.dtype != np.uint8 or model.ndim != 1:
            raise BundleError(f"lightgbm: the model's text as uint8 (n,) is needed, got {sorted(arrays)}")
        text = model.tobytes().decode("utf-8", "replace")
        if not (text.startswith("tree\n") and "end of trees" in text):  # LightGBM itself may crash on garbage
            raise BundleError("lightgbm: the model's text is cut or is none")
        found = cls()
        return found._adopt(text)

    def _adopt(self, text: str) -> Self:
        import lightgbm

        try:
            self._booster = lightgbm.Booster(model_str=text)
        except lightgbm.basic.LightGBMError as error:
            raise BundleError(f"lightgbm: the model's text cannot be read: {error}") from error
        self._text = text
        self._columns = self._booster.num_feature()
        self._row = None
        return self


def _single_row(booster: Any, columns: int) -> Callable[[NDArray[np.float32]], float]:
    from lightgbm.libpath import _find_lib_path

    library = ctypes.PyDLL(
        _find_lib_path()[0]
    )  # unlike CDLL it keeps the interpreter's lock: one call at a time
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    call = library.LGBM_BoosterPredictForMatSingleRowFast
    call.argtypes = [ctypes.c_void_p] * 4
    config = ctypes.c_void_p()
    failed = library.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster._handle,  # noqa: SLF001 (LightGBM's Python API has no fast path of its own)
        ctypes.c_int(_NORMAL), ctypes.c_int(0), ctypes.c_int(-1), ctypes.c_int(_FLOAT32), ctypes.c_int32(columns),
        ctypes.c_char_p(b"num_threads=1"), ctypes.byref(config),
    )  # fmt: skip
    if failed:
        raise BundleError(f"lightgbm: no single-row prediction: {library.LGBM_GetLastError().decode()}")
    handle = config.value

    def row(x: NDArray[np.float32]) -> float:
        length, result = ctypes.c_int64(), ctypes.c_double()
        if call(handle, _address(x), ctypes.addressof(length), ctypes.addressof(result)):
            raise RuntimeError(f"lightgbm: {library.LGBM_GetLastError().decode()}")
        return min(1.0, max(0.0, result.value))

    _owns(row, booster, library, handle)
    return row


def _address(x: NDArray[np.float32]) -> int:
    if x.dtype != np.float32 or not x.flags.c_contiguous:
        raise ValueError(f"a contiguous float32 row is needed, got {x.dtype}")
    return int(x.__array_interface__["data"][0])


def _owns(row: Callable[..., float], booster: Any, library: Any, handle: int | None) -> None:
    """Free the C object with the function; the booster that it points into lives at least as long."""

    def free(_keep: Any = booster) -> None:
        library.LGBM_FastConfigFree(ctypes.c_void_p(handle))

    weakref.finalize(row, free).atexit = False
