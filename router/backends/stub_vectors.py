"""What the stub server says to POST /v1/embeddings: vectors that follow from the text alone."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from router.backends.stub_texts import words

WIDTH = 8


class EmbeddingRequest(msgspec.Struct, frozen=True):
    """What is read of the request."""

    model: str
    input: str | list[str]


def embeddings(asked: EmbeddingRequest) -> dict[str, Any]:
    """The reply; unequal texts have unequal vectors of `WIDTH` numbers in [0, 1)."""
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    vectors = [blake2b(text.encode("utf-8", "replace"), digest_size=WIDTH).digest() for text in texts]
    tokens = sum(len(words(text)) for text in texts)
    return {
        "object": "list",
        "model": asked.model,
        "data": [
            {"object": "embedding", "index": place, "embedding": [byte / 256 for byte in vector]}
            for place, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
