"""What a reduced vector is made of: pieces in order, each a part of the sample (`answer_mean`) at a layer.

A probe knows the pieces that it was fitted on and takes them out of whatever a server hands out, in any order; what
lacks one of them, or has it in another width, is not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.observation import Piece


def picked(vector: NDArray[Any], have: Sequence[Piece], want: Sequence[Piece]) -> NDArray[np.float32] | None:
    """The wanted pieces of a vector, in their order; None where they are not in it.

    A vector without pieces (`have` empty: somebody's own) is taken whole if its width is that of what is wanted.
    """
    values = np.asarray(vector, dtype=np.float32)
    if values.ndim != 1 or not len(want):
        return None
    if not have:
        return values if len(values) == sum(piece.width for piece in want) else None
    starts, at = {}, 0
    for piece in have:
        starts[piece], at = at, at + piece.width
    if at != len(values) or any(piece not in starts for piece in want):
        return None
    return np.concatenate([values[starts[piece] : starts[piece] + piece.width] for piece in want])


def made_of(width: int, said: tuple[Piece, ...]) -> tuple[Piece, ...]:
    """What a vector of so many numbers is made of: the pieces that are said, or (): opaque, where they do not fit it.

    >>> made_of(4, (Piece("answer_mean", 3, 4),))
    (Piece(part='answer_mean', layer=3, width=4),)
    >>> made_of(6, (Piece("answer_mean", 3, 4),))
    ()
    """
    return said if sum(piece.width for piece in said) == width else ()


def read_pieces(said: object) -> tuple[Piece, ...]:
    """Pieces as JSON has them, `[{"part": …, "layer": …, "width": …}, …]`; raises `ValueError`."""
    keys = {"part", "layer", "width"}
    if not isinstance(said, list) or not all(isinstance(one, Mapping) and keys <= set(one) for one in said):
        raise ValueError(f"hidden: a list of objects with part, layer and width is expected, got {said!r}")
    return tuple(Piece(str(one["part"]), int(one["layer"]), int(one["width"])) for one in said)


def as_json(pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    """The inverse of `read_pieces`."""
    return [piece._asdict() for piece in pieces]
