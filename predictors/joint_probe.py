"""P(a finished sample is right) from all that is known of it: its features, its words and its hidden state at once.

One logistic regression over three kinds of evidence, each with a penalty of its own: as L2 penalties are prior
variances of what a kind adds to the margin, a state of a thousand numbers cannot drown forty features. Fitted jointly,
each kind is asked only for what the others leave open; regressions of their own that are blended afterwards know the
same things twice, and need labels to find out how much. When it fails: evidence that counts only in combination, which
is for trees that read its probability.
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
from predictors.hashed import HashedRidge, table_of, weighted_sets
from predictors.hidden_pieces import as_json, picked, read_pieces
from predictors.hidden_probe import moments, standardised, thinned
from predictors.linear import check_rows, logistic
from predictors.observation import Piece
from predictors.packing import packed, unpacked

Floats = NDArray[np.float64]
_OF_FEATURE = 0.1  # prior variance of the margin by one feature's standard deviation: a penalty of ten rows
_OF_WORDS = 0.5  # by all words of an answer
_OF_STATE = 2.0  # by the whole state


@dataclass(frozen=True, slots=True)
class Part:
    """Coefficients of standardised numbers."""

    mean: NDArray[np.float32] = field(compare=False)  # (d,)
    scale: NDArray[np.float32] = field(compare=False)  # (d,)
    coef: Floats = field(compare=False)  # (d,)

    def margin(self, x: NDArray[np.float32]) -> Floats:
        """What rows (n, d) add to the margin, (n,)."""
        if x.ndim != 2 or x.shape[1] != len(self.mean):
            raise ValueError(f"x has shape {x.shape}; it was fitted on (n, {len(self.mean)})")
        # not z @ coef, whose rounding depends on how many rows there are
        return np.asarray((standardised(x, self.mean, self.scale) * self.coef).sum(axis=1))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        return {"mean": self.mean, "scale": self.scale, "coef": self.coef}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `arrays`; raises `BundleError` for what does not fit."""
        try:
            mean, scale = (np.asarray(arrays[name], np.float32) for name in ("mean", "scale"))
            coef = np.asarray(arrays["coef"], np.float64)
        except (KeyError, ValueError, TypeError) as error:
            raise BundleError(f"joint probe: mean, scale, coef are needed, got {sorted(arrays)}") from error
        if mean.ndim != 1 or mean.shape != scale.shape or mean.shape != coef.shape:
            raise BundleError(
                f"joint probe: shapes {mean.shape}, {scale.shape}, {coef.shape} do not fit together"
            )
        return cls(mean, scale, coef)


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
    weight = weight[kept] / weight[kept].mean()
    of_row, of_state = moments(x), moments(states)
    numbers, width = x.shape[1], states.shape[1]
    scales = np.repeat(np.sqrt([_OF_FEATURE, _OF_STATE / width]), [numbers, width])
    dense = np.concatenate([standardised(x, *of_row), standardised(states, *of_state)], axis=1) * scales
    sparse, used, rarity = weighted_sets(words, 2**BITS, 1.0)
    found = _fitted(dense, sparse * _OF_WORDS**0.5, y, weight)
    coef, said = found[: len(scales)] * scales, found[len(scales) : -1] * _OF_WORDS**0.5
    return JointProbe(
        pieces,
        Part(*of_row, coef[:numbers]),
        Part(*of_state, coef[numbers:]),
        table_of(said[:, None], used, rarity, found[-1:]),
    )


def _fitted(dense: Floats, sparse: Any, y: Floats, weight: Floats) -> Floats:
    """Coefficients of the dense and the sparse columns, each with a prior variance of 1, and the intercept."""
    from scipy.optimize import minimize

    back, first, total = sparse.T.tocsr(), dense.shape[1], float(weight.sum())

    def loss(coef: Floats) -> tuple[float, Floats]:
        margin = dense @ coef[:first] + sparse @ coef[first:-1] + coef[-1]
        value = weight @ (np.logaddexp(0.0, margin) - y * margin) + 0.5 * coef[:-1] @ coef[:-1]
        error = weight * (logistic(margin) - y)
        slope = np.concatenate([dense.T @ error, back @ error]) + coef[:-1]
        return float(value) / total, np.append(slope, error.sum()) / total

    base = (weight @ y + 0.5) / (total + 1.0)  # finite also where all targets are equal
    start = np.append(np.zeros(first + sparse.shape[1]), np.log(base / (1 - base)))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return np.asarray(found.x, dtype=np.float64)
