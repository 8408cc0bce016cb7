"""The baselines' view of a query: words weighted by how rare they are (TF-IDF), learned on the training texts alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.suites.routing.problem import Fold

CHARS = 4000  # of a text, that are read
WORDS = r"(?u)\b\w+\b|[^\w\s]"  # signs count, too: they tell sums from products
BLOCK = 512  # rows whose similarities are held at once
WIDTH = 64  # of the reduced space for clusters


@dataclass(frozen=True, slots=True)
class TextSpace:
    """Sparse rows of length one; a product of two is their cosine."""

    train: Any = field(compare=False)  # scipy.sparse (n_train, words)
    test: Any = field(compare=False)  # (n_test, words)


def text_space(fold: Fold) -> TextSpace:
    """Fit on the fold's training texts, apply to both; made once for all who ask with this fold."""
    if "text space" not in fold.made:
        fold.made["text space"] = _text_space(fold)
    found: TextSpace = fold.made["text space"]
    return found


def _text_space(fold: Fold) -> TextSpace:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [text[:CHARS] for text in fold.problem.texts]
    words = TfidfVectorizer(sublinear_tf=True, min_df=2, dtype=np.float32, token_pattern=WORDS)
    try:
        train = words.fit_transform([texts[place] for place in fold.train])
    except ValueError:  # no word occurs twice
        words.set_params(min_df=1)
        train = words.fit_transform([texts[place] or "." for place in fold.train])
    return TextSpace(train, words.transform([texts[place] for place in fold.test]))


def reduced(space: TextSpace, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Training and test rows in few dense dimensions, length one (latent semantic analysis)."""
    from sklearn.decomposition import TruncatedSVD

    if space.train.shape[1] < 2:  # one word in all: nothing to reduce
        return _unit(space.train.toarray()), _unit(space.test.toarray())
    width = min(WIDTH, space.train.shape[1] - 1, space.train.shape[0] - 1)
    svd = TruncatedSVD(max(width, 1), n_iter=3, random_state=seed)
    train, test = svd.fit_transform(space.train), svd.transform(space.test)
    return _unit(train), _unit(test)


def _unit(rows: NDArray[Any]) -> NDArray[np.float32]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-9), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The most similar training rows of each row, nearest first."""

    place: NDArray[np.int64] = field(compare=False)  # (n, most)
    cosine: NDArray[np.float32] = field(compare=False)  # (n, most)


def neighbours(rows: Any, train: Any, most: int, own: Sequence[int] | None = None) -> Neighbours:
    """The `most` nearest training rows of each row; `own[i]` is a training row that row i must not see (itself)."""
    most = min(most, train.shape[0] - (own is not None))
    columns = train.T.tocsr()  # once, not with every block
    places, cosines = [], []
    for start in range(0, rows.shape[0], BLOCK):
        near = (rows[start : start + BLOCK] @ columns).toarray()
        if own is not None:
            mine = np.asarray(own[start : start + BLOCK])
            near[np.arange(len(mine)), mine] = -1.0
        top = np.argpartition(-near, most - 1, axis=1)[:, :most]
        order = np.argsort(-np.take_along_axis(near, top, axis=1), axis=1, kind="stable")
        top = np.take_along_axis(top, order, axis=1)
        places.append(top)
        cosines.append(np.take_along_axis(near, top, axis=1))
    return Neighbours(np.concatenate(places), np.concatenate(cosines))
