"""An optional sentence embedding as features: WordLlama's 256 numbers, from the model inside its package.

Off by default: it costs about .2 ms per query, most of what a decision may cost. Needs the `embed` extra.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from predictors.errors import PredictorError

Embedding = Callable[[str], NDArray[np.float32]]
EMBEDDINGS = ("wordllama",)


def load_embedding(name: str) -> Embedding:
    """A function from a text to its embedding, shape (256,), unit length or zero.

    Raises `PredictorError` for a name that is not in `EMBEDDINGS` and where the package is not installed.
    """
    if name not in EMBEDDINGS:
        raise PredictorError(f"unknown embedding {name!r}; choose from {', '.join(EMBEDDINGS)}")
    found = find_spec("wordllama")
    if found is None or found.origin is None:
        raise PredictorError(
            "embedding 'wordllama' is not installed: pip install '.[embed]' in the checkout, or fit without it"
        )
    from wordllama import WordLlama

    model = WordLlama.load(cache_dir=Path(found.origin).parent, disable_download=True)

    def embed(text: str) -> NDArray[np.float32]:
        return np.nan_to_num(np.asarray(model.embed([text], norm=True)[0], dtype=np.float32))

    return embed
