from typing import Any

from numpy.typing import NDArray

def add_rows(
    table: NDArray[Any], width: int, buckets: NDArray[Any], index: NDArray[Any] | None, /
) -> bytes: ...
def scaled_sum(
    row: NDArray[Any], mean: NDArray[Any], scale: NDArray[Any], most: float, coef: NDArray[Any], /
) -> bytes: ...
