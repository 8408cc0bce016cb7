"""The KV connector that vLLM loads: hands out reduced hidden states of the requests that ask for them.

Two sources: the states that vLLM's `extract_hidden_states` speculation keeps in blocks of the KV cache
(`hidden_cache.py`), or the value vectors that attention keeps there anyway (`value_cache.py`). When a request ends its
blocks are held until they are reduced (some 100 µs), then freed. Requests that do not ask, and those that were aborted,
cost nothing and leave nothing. Options, in `kv_connector_extra_config`: see `options.py`.

No layout of the KV cache is asked for: the states are found in any, and attention on a CPU reads one alone (asked for
another, it answers nonsense from the second token on). When it fails: models whose states vLLM cannot extract, pipeline
parallelism, and versions of vLLM whose connector interface differs (it is declared experimental).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from vllm.distributed.kv_transfer.kv_connector.v1.base import (
    KVConnectorBase_V1,
    KVConnectorMetadata,
    KVConnectorRole,
    SupportsHMA,
)
from vllm.distributed.parallel_state import get_tensor_model_parallel_rank
from vllm.logger import init_logger

from predictors.vllm.asked import child_index, read_ask
from predictors.vllm.folder import StateFolder
from predictors.vllm.hidden_cache import HiddenSource
from predictors.vllm.options import VALUES, Options
from predictors.vllm.reduction import Reducer, Sequenced, kept_marks
from predictors.vllm.value_cache import ValueSource
from predictors.vllm.writer import Job, StateWriter

if TYPE_CHECKING:
    from vllm.config import VllmConfig
    from vllm.v1.core.kv_cache_manager import KVCacheBlocks
    from vllm.v1.core.sched.output import SchedulerOutput
    from vllm.v1.kv_cache_interface import KVCacheConfig
    from vllm.v1.request import Request

logger = init_logger(__name__)


@dataclass(frozen=True)
class Finished:
    """What the scheduler tells the worker of one request that ended."""

    request_id: str
    tenant: str
    key: str
    index: int
    sequence: Sequenced


@dataclass
class FinishedRequests(KVConnectorMetadata):  # type: ignore[misc]  # the same as below
    """One step's."""

    requests: list[Finished] = field(default_factory=list)


class ReducedStates(KVConnectorBase_V1, SupportsHMA):  # type: ignore[misc]  # vLLM is not there to be checked
    """Store-only: it never loads anything into the cache."""

    def __init__(
        self, vllm_config: VllmConfig, role: KVConnectorRole, kv_cache_config: KVCacheConfig
    ) -> None:
        super().__init__(vllm_config=vllm_config, role=role, kv_cache_config=kv_cache_config)
        if vllm_config.parallel_config.pipeline_parallel_size > 1:
            raise ValueError("hidden states: pipeline parallelism is not supported")
        self._options = Options.read(self._kv_transfer_config.kv_connector_extra_config or {})
        self._source: HiddenSource | ValueSource = (
            ValueSource(vllm_config, self._options.layers)
            if self._options.states == VALUES
            else HiddenSource(vllm_config)
        )
        self._group = self._source.group(kv_cache_config)
        self._ended: list[Finished] = []  # the scheduler's
        self._writer: StateWriter | None = None  # the first worker's
        self._reducer: Reducer | None = None  # the first worker's

    # ------------------------------------------------------------------------------------------ the scheduler's side

    def get_num_new_matched_tokens(
        self, request: Request, num_computed_tokens: int
    ) -> tuple[int | None, bool]:
        """Nothing is loaded."""
        return 0, False

    def update_state_after_alloc(
        self, request: Request, blocks: KVCacheBlocks, num_external_tokens: int
    ) -> None:
        """Nothing is loaded."""

    def request_finished_all_groups(
        self, request: Request, block_ids: tuple[list[int], ...]
    ) -> tuple[bool, dict[str, Any] | None]:
        """Hold the blocks of a request that asked for its states; those that were aborted are let go."""
        if not 0 <= self._group < len(block_ids):
            return False, None
        return self.request_finished(request, block_ids[self._group])

    def request_finished(self, request: Request, block_ids: list[int]) -> tuple[bool, dict[str, Any] | None]:
        """The same where the cache has one group. `block_ids`: of the group that is read."""
        ask = read_ask(request.kv_transfer_params)
        prompt_ids = request.prompt_token_ids
        if ask is None or not prompt_ids or request.status.name == "FINISHED_ABORTED":
            return False, None
        size = self._kv_cache_config.kv_cache_groups[self._group].kv_cache_spec.block_size
        # The last token was generated and never read by the model: it has no state.
        tokens = min(len(request.all_token_ids) - 1, len(block_ids) * size)
        prompt = len(prompt_ids) if ask.split is None else ask.split
        if tokens < 1 or prompt > max(tokens, len(prompt_ids)):
            return False, None
        sequence = Sequenced(
            tuple(block_ids), min(prompt, tokens), tokens, self._marks(request, ask.marks, prompt, tokens)
        )
        index = child_index(request.request_id)
        self._ended.append(Finished(request.request_id, ask.tenant, ask.key, index, sequence))
        return True, None

    def _marks(self, request: Request, asked: tuple[int, ...], prompt: int, tokens: int) -> tuple[int, ...]:
        ids, ends_a_step = request.all_token_ids, self._options.mark_tokens
        steps = [at for at in range(prompt, tokens) if ids[at] in ends_a_step] if ends_a_step else []
        return kept_marks([*asked, *steps], tokens)

    def build_connector_meta(self, scheduler_output: SchedulerOutput) -> KVConnectorMetadata:
        """What ended since the last step."""
        ended, self._ended = self._ended, []
        return FinishedRequests(ended)

    # --------------------------------------------------------------------------------------------- the workers' side

    def get_finished_count(self) -> int:
        """Every worker has the same states: one of them reports."""
        return 1

    @property
    def requires_kv_delivery(self) -> bool:
        """States that are lost are lost: nothing is computed again for them."""
        return False

    def register_kv_caches(self, kv_caches: dict[str, torch.Tensor]) -> None:
        """Find the cache that is read."""
        if get_tensor_model_parallel_rank() != 0:
            return
        options = self._options
        cache = self._source.cache(self._vllm_config, kv_caches)
        self._reducer = Reducer(cache, options.parts, options.dims, options.seed)
        folder = StateFolder(Path(options.folder), options.max_age_s, int(options.max_mb * 1e6))
        self._writer = StateWriter(folder, logger.warning)
        logger.info("%s states of layers %s go to %s", options.states, cache.layers, options.folder)

    def bind_connector_metadata(self, connector_metadata: KVConnectorMetadata) -> None:
        """Called before a step's forward pass: what ended in the last one is reduced while this one runs."""
        super().bind_connector_metadata(connector_metadata)
        reducer, writer = self._reducer, self._writer
        if reducer is None or writer is None or not isinstance(connector_metadata, FinishedRequests):
            return
        if not connector_metadata.requests:
            return
        ready = reducer.so_far()
        for ended in connector_metadata.requests:
            reduce = partial(reducer, ended.sequence, ready)
            writer.submit(Job(ended.request_id, ended.tenant, ended.key, ended.index, reduce))

    def get_finished(self, finished_req_ids: set[str]) -> tuple[set[str] | None, set[str] | None]:
        """The requests whose blocks may be freed."""
        return (self._writer.released() or None if self._writer is not None else None), None

    def start_load_kv(self, forward_context: Any, **kwargs: Any) -> None:
        """Nothing is loaded."""

    def wait_for_layer_load(self, layer_name: str) -> None:
        """Nothing is loaded."""

    def save_kv_layer(
        self, layer_name: str, kv_layer: torch.Tensor, attn_metadata: Any, **kwargs: Any
    ) -> None:
        """vLLM has stored what is read when a request ends."""

    def wait_for_save(self) -> None:
        """Nothing is waited for."""

    def shutdown(self) -> None:
        """Write what waits."""
        if self._writer is not None:
            self._writer.close()
