"""LightGBM's C library for predictions, of one row at a time above all, without its Python package.

The package imports pandas and scikit-learn where they are installed: a second and a hundred megabytes in every serving
process, for two calls. The library's interface is C and stable; it is called with the interpreter's lock held, which
is what makes the single-row call safe between threads. A row's result is what `Booster.predict` gives.
When it fails: a platform for which the wheel brings no library in its `lib` folder.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError

_FLOAT32 = 0  # C_API_DTYPE_FLOAT32
_NORMAL = 0  # C_API_PREDICT_NORMAL: after the logistic function
_NAMES = ("lib_lightgbm.so", "lib_lightgbm.dylib", "lib_lightgbm.dll")

Row = Callable[[int], float]


class RowModel:
    """A fitted model of boosted trees, given as LightGBM's text."""

    def __init__(self, text: str) -> None:
        """Raises `BundleError` for a text that LightGBM cannot read."""
        self._library = library = _library()
        self._handle = ctypes.c_void_p()
        rounds, columns = ctypes.c_int(), ctypes.c_int()
        self._checked(
            library.LGBM_BoosterLoadModelFromString(
                ctypes.c_char_p(text.encode()), ctypes.byref(rounds), ctypes.byref(self._handle)
            ),
            "the model's text cannot be read",
        )
        weakref.finalize(self, library.LGBM_BoosterFree, self._handle).atexit = False
        self._checked(
            library.LGBM_BoosterGetNumFeature(self._handle, ctypes.byref(columns)), "no number of features"
        )
        self.columns = columns.value

    def row(self) -> Row:
        """A function from the `address` of a row of `columns` float32 to its prediction in [0, 1]."""
        library, config = self._library, ctypes.c_void_p()
        self._checked(
            library.LGBM_BoosterPredictForMatSingleRowFastInit(
                self._handle,
                *(ctypes.c_int(_NORMAL), ctypes.c_int(0), ctypes.c_int(-1), ctypes.c_int(_FLOAT32)),
                ctypes.c_int32(self.columns), ctypes.c_char_p(b"num_threads=1"), ctypes.byref(config),
            ),
            "no single-row prediction",
        )  # fmt: skip
        call, handle = library.LGBM_BoosterPredictForMatSingleRowFast, config.value
        call.argtypes = [ctypes.c_void_p] * 4

        def row(at: int) -> float:
            length, result = ctypes.c_int64(), ctypes.c_double()
            if call(handle, at, ctypes.addressof(length), ctypes.addressof(result)):
                raise RuntimeError(f"lightgbm: {_told(library)}")
            return min(1.0, max(0.0, result.value))

        def free(_model: RowModel = self) -> None:  # the C object points into the model, which lives as long
            library.LGBM_FastConfigFree(ctypes.c_void_p(handle))

        weakref.finalize(row, free).atexit = False
        return row

    def rows(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """The predictions in [0, 1] of many rows (n, columns), contiguous, shape (n,)."""
        found, length = np.empty(len(x)), ctypes.c_int64()
        self._checked(
            self._library.LGBM_BoosterPredictForMat(
                self._handle,
                ctypes.c_void_p(address(x)),
                *(ctypes.c_int(_FLOAT32), ctypes.c_int32(len(x)), ctypes.c_int32(x.shape[1]), ctypes.c_int(1)),
                *(ctypes.c_int(_NORMAL), ctypes.c_int(0), ctypes.c_int(-1), ctypes.c_char_p(b"num_threads=1")),
                ctypes.byref(length), ctypes.c_void_p(found.ctypes.data),
            ),
            "no predictions",
        )  # fmt: skip
        return np.clip(found, 0.0, 1.0)

    def _checked(self, failed: int, what: str) -> None:
        if failed:
            raise BundleError(f"lightgbm: {what}: {_told(self._library)}")


def address(x: NDArray[np.float32]) -> int:
    """Where a contiguous row of float32, or several, stand in memory. Raises `ValueError` for any other."""
    if x.dtype != np.float32 or not x.flags.c_contiguous:
        raise ValueError(f"a contiguous float32 row is needed, got {x.dtype}")
    return int(x.__array_interface__["data"][0])


def _library() -> Any:
    found = find_spec("lightgbm")  # does not import it
    places = (None if found is None else found.submodule_search_locations) or ()
    folders = [Path(place) / "lib" for place in places]
    for path in (folder / name for folder in folders for name in _NAMES):
        if path.is_file():
            # unlike CDLL it keeps the interpreter's lock: one call at a time
            library = ctypes.PyDLL(str(path))
            library.LGBM_GetLastError.restype = ctypes.c_char_p
            return library
    raise BundleError(
        f"lightgbm: none of {', '.join(_NAMES)} in {', '.join(map(str, folders)) or 'its package'}"
    )


def _told(library: Any) -> str:
    return str(library.LGBM_GetLastError().decode("utf-8", "replace"))
