"""P(a finished sample is right) from all that is known of it: its features, its words and its hidden state at once.

One logistic regression over three kinds of evidence (`kinds_of_evidence`). When it fails: evidence that counts only
in combination, which is for trees that read its probability.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.answer_words import BITS
from predictors.errors import BundleError, FitError
from predictors.hashed import HashedRidge
from predictors.hidden_pieces import as_json, picked, read_pieces
from predictors.hidden_probe import thinned
from predictors.kinds_of_evidence import OF_FEATURE, Part, fit_kinds
from predictors.linear import check_rows, logistic
from predictors.observation import Piece
from predictors.packing import packed, unpacked

Floats = NDArray[np.float64]
_OF_STATE = 2.0  # prior variance of the margin by the whole state


@dataclass(frozen=True, slots=True)
class JointProbe:
    """One backend's."""

    pieces: tuple[Piece, ...]  # of the states that it reads; (): all of a vector of its width
    row: Part = field(compare=False)  # of a sample's row of features
    state: Part = field(compare=False)
    words: HashedRidge = field(compare=False)  # of the answer; its mean is the intercept

    @property
    def width(self) -> int:
        """Numbers of one state."""
        return len(self.state.mean)

    def many(
        self, x: NDArray[np.float32], words: Sequence[NDArray[np.int64]], states: NDArray[np.float32]
    ) -> Floats:
        """P(right) of n samples, (n,): their rows (n, d), the buckets of their words, their states (n, width)."""
        said = np.array([float(self.words.scores(buckets)[0]) for buckets in words])
        return logistic(said + self.row.margin(x) + self.state.margin(states))

    def one(
        self, row: NDArray[np.float32], buckets: NDArray[np.int64], vector: Any, have: Sequence[Piece]
    ) -> float | None:
        """The same for one sample's row (d,) and vector; None where this is not made of what was fitted."""
        want = self.pieces or (Piece("", 0, self.width),)
        state = picked(vector, have if self.pieces else (), want)
        return None if state is None else float(self.many(row[None], (buckets,), state[None])[0])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        pieces = np.frombuffer(json.dumps(as_json(self.pieces)).encode(), np.uint8)
        parts = {"row": self.row.arrays(), "state": self.state.arrays(), "words": self.words.arrays()}
        return packed({"joint": {"pieces": pieces}} | parts)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], features: int) -> Self:
        """The inverse of `arrays`, for rows of so many features; raises `BundleError` for what does not fit."""
        try:
            pieces = read_pieces(json.loads(arrays["joint/pieces"].astype(np.uint8).tobytes()))
            words = HashedRidge.from_arrays(unpacked(arrays, "words"))
        except (KeyError, ValueError) as error:
            raise BundleError(f"joint probe: its pieces or words cannot be read: {error}") from error
        row, state = (Part.from_arrays(unpacked(arrays, name)) for name in ("row", "state"))
        widths = sum(piece.width for piece in pieces), len(state.mean), len(row.mean), len(words.mean)
        if (pieces and widths[0] != widths[1]) or widths[2:] != (features, 1):
            raise BundleError(f"joint probe: widths {widths} do not fit together, nor rows of {features}")
        return cls(pieces, row, state, words)


def fit_joint_probe(
    x: NDArray[np.float32],
    words: Sequence[NDArray[np.int64]],
    states: NDArray[np.float32],
    pieces: tuple[Piece, ...],
    y: Floats,
    weight: Floats,
) -> JointProbe:
    """Fit on n >= 2 samples: rows (n, d), buckets of their words, states (n, width), targets (n,) in [0, 1].

    Of very wide states every so many samples are taken. Raises `FitError` for what does not fit together.
    """
    check_rows(x, y, weight)
    if states.ndim != 2 or len(states) != len(x) or len(words) != len(x) or states.shape[1] == 0:
        raise FitError(f"joint probe: {len(x)} rows, {len(words)} texts and states of shape {states.shape}")
    kept = slice(None, None, thinned(states.size))
    x, words, states, y = x[kept], words[kept], states[kept], y[kept]
    kinds = (x, OF_FEATURE), (states, _OF_STATE / states.shape[1])
    (of_row, of_state), of_words = fit_kinds(kinds, words, BITS, y, weight[kept])
    return JointProbe(pieces, of_row, of_state, of_words)
