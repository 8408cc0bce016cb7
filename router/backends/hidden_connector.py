"""Hidden states from our connector inside vLLM, by a folder that both see: `predictors/vllm` writes, this reads.

A key of 128 random bits goes with the request; the server derives the file's name from it, and so does this.
When it fails: a folder on a network disk (reading blocks; it is meant for memory, /dev/shm or an emptyDir of medium
Memory), a server in another pod without that volume, and steps of the model longer than the time-box.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from predictors.observation import Message, Piece, Sample
from predictors.vllm.asked import ask_params
from predictors.vllm.state_file import state_path, take_states
from router.backends.hidden import Ticket, Vector
from router.config import BackendConfig

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.0005, 0.008


class Connector:
    """`hidden = "connector"`, `hidden_at` = the folder given to the server."""

    def __init__(self, name: str, config: BackendConfig, environ: Mapping[str, str] = os.environ) -> None:
        self.name = name
        self._folder = Path(config.hidden_at)

    def begin(self, messages: tuple[Message, ...], tenant: str) -> Ticket:
        """See `HiddenSource.begin`."""
        key = secrets.token_hex(16)
        return Ticket({"kv_transfer_params": ask_params(key, tenant[:256])}, key, tenant[:256])

    async def fetch(self, ticket: Ticket, index: int, sample: Sample) -> Vector:
        """See `HiddenSource.fetch`."""
        path, pause = state_path(self._folder, ticket.tenant, ticket.key, index), _FIRST_PAUSE_S
        while (states := take_states(path)) is None:
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE_S, 2 * pause)
        values = np.frombuffer(states.values, "<f2").astype(np.float32)
        return Vector(values, tuple(Piece(part, layer, states.width) for part, layer in states.pieces))

    async def close(self) -> None:
        """Nothing is held."""
