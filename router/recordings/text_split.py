"""Which side of a split a query is on: a stable hash of its normalised text.

Duplicates of one text exist under different ids; hashing the text keeps all of them on the same side, whatever
else is in the file, so that nothing that was fitted on has been seen by the test.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.errors import RecordingError


def normalised(text: str) -> str:
    """The text as splits and duplicate detection see it: NFKC, case folded, white space collapsed."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def text_hash(text: str, seed: int = 0) -> float:
    """A number in [0, 1) that depends on the normalised text and the seed alone (blake2b, 53 bits)."""
    salt = seed.to_bytes(8, "little", signed=True)
    digest = blake2b(normalised(text).encode("utf-8", "surrogatepass"), digest_size=8, salt=salt).digest()
    return (int.from_bytes(digest, "little") >> 11) / 2.0**53


def split_by_text(texts: Sequence[str], parts: int | Sequence[float] = 2, seed: int = 0) -> NDArray[np.int64]:
    """Return for each text its part, shape (texts,), 0 .. parts-1; equal normalised texts share a part.

    `parts` is a number of equal parts (2: halves, 5: folds) or the share of each part (positive; scaled to
    sum to 1). The shares are met in expectation: a text's part never depends on the other texts. Different
    seeds give independent splits. When it fails: with very few distinct texts a part may be empty.
    """
    shares: NDArray[Any] = np.asarray([1.0] * parts if isinstance(parts, int) else parts, dtype=np.float64)
    if shares.ndim != 1 or len(shares) < 1 or not (np.isfinite(shares).all() and (shares > 0).all()):
        raise RecordingError(f"split: parts must be a number >= 1 or positive shares, got {parts!r}")
    edges = np.cumsum(shares / shares.sum())[:-1]
    places = np.array([text_hash(text, seed) for text in texts], dtype=np.float64)
    return np.searchsorted(edges, places, side="right").astype(np.int64)
