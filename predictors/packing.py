"""Parts within parts as one flat mapping of arrays: `trees/p_correct/small/model` instead of nested objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def packed(parts: Mapping[str, Mapping[str, NDArray[Any]]]) -> Arrays:
    """Every part's arrays under `<part>/<name>`."""
    return {f"{part}/{name}": array for part, arrays in parts.items() for name, array in arrays.items()}


def unpacked(arrays: Mapping[str, NDArray[Any]], part: str) -> Arrays:
    """The arrays of one part, without its prefix; empty where there is no such part."""
    return {name[len(part) + 1 :]: array for name, array in arrays.items() if name.startswith(f"{part}/")}
