"""Hidden states from a second vLLM server of the same weights in pooling mode: the sample is sent there to be read.

`--runner pooling --convert embed` serves the last token's last-layer state, normalised. It needs no shared folder and
no speculation slot, but a second copy of the weights, and it reads every prompt again. When it fails: samples that
are too long to be read within the time-box; then they are late and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import aiohttp
import numpy as np

from predictors.observation import Message, Part, Piece, Sample
from router.backends.hidden import Ticket, Vector
from router.backends.openai_body import cache_salt, wire_message
from router.backends.openai_session import open_session
from router.config import BackendConfig

PART, LAYER = "answer_last", -1  # the last layer, whichever number it has, after the final norm
_LARGEST = 8 * 1024 * 1024


class Pooling:
    """`hidden = "pooling"`, `hidden_at` = its url."""

    def __init__(self, name: str, config: BackendConfig, environ: Mapping[str, str] = os.environ) -> None:
        self.name = name
        self._config = config
        self._environ = environ
        self._session: aiohttp.ClientSession | None = None

    def begin(self, messages: tuple[Message, ...], tenant: str) -> Ticket:
        """See `HiddenSource.begin`."""
        return Ticket(messages=messages, tenant=tenant)

    async def fetch(self, ticket: Ticket, index: int, sample: Sample) -> Vector:
        """See `HiddenSource.fetch`."""
        if self._session is None:
            self._session = open_session(self.name, self._config, self._environ)
        answer = Message("assistant", (Part(text=sample.text),))
        body = {
            "model": self._config.model,
            "messages": [wire_message(message) for message in (*ticket.messages, answer)],
            "add_generation_prompt": False,
            "continue_final_message": True,
            "encoding_format": "float",
            **cache_salt(self._config, ticket.tenant),
        }
        url = self._config.hidden_at.rstrip("/") + "/v1/embeddings"
        try:
            async with self._session.post(url, json=body, allow_redirects=False) as response:
                if response.status != 200:
                    raise ValueError(f"{url}: HTTP {response.status}")
                if (response.content_length or 0) > _LARGEST:
                    raise ValueError(f"{url}: {response.content_length} bytes")
                said = await response.json(content_type=None)
            values = np.asarray(said["data"][0]["embedding"], dtype=np.float32)
        except aiohttp.ClientError as error:
            raise OSError(f"{url}: {error}") from error
        except (KeyError, IndexError, TypeError, OverflowError, RecursionError) as error:
            raise ValueError(f"{url}: not a list of embeddings: {error!r}") from error
        return Vector(values, (Piece(PART, LAYER, values.size),))

    async def close(self) -> None:
        """Release connections."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()
