"""Where hidden states come from. To add a source, write a module here and give it a line in `HIDDEN_SOURCES`.

A source is built from a backend's section of `router.toml`: its class takes `(name, config, environ)`.
What a caller sends itself (with `Advise`) needs none: it is on the sample already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from predictors.observation import Message, Piece, Sample

THERE, LATE, BROKEN, RESTING = "there", "late", "broken", "resting"
"""How a sample's states were had: in time; not in time; not readable; not waited for, since the source seems dead."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a request was sent with, so that its states can be found."""

    body: Mapping[str, Any] = field(default_factory=dict)  # added to the request
    key: str = ""
    tenant: str = ""
    messages: tuple[Message, ...] = ()  # as the backend is asked


@dataclass(frozen=True, slots=True)
class Vector:
    """The reduced states of one sample."""

    values: NDArray[np.float32]  # (sum of the pieces' widths,), finite
    pieces: tuple[Piece, ...]


@runtime_checkable
class HiddenSource(Protocol):
    """The states of finished samples, from somewhere beside the stream that brought them."""

    def begin(self, messages: tuple[Message, ...], tenant: str) -> Ticket:
        """Called before a request is sent; at once."""
        ...

    async def fetch(self, ticket: Ticket, index: int, sample: Sample) -> Vector:
        """The states of the request's `index`-th sample, as soon as they are there; it is cancelled when too late.

        Raises `ValueError` or `OSError` for what is there and cannot be read, or a source that cannot be reached.
        """
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


HIDDEN_SOURCES = {
    "connector": "router.backends.hidden_connector:Connector",
    "pooling": "router.backends.hidden_pooling:Pooling",
}
