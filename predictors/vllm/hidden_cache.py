"""Where the hidden states are: the cache in which vLLM's `extract_hidden_states` speculation keeps the chosen layers'.

Exact, and dear: each step verifies a draft token that is almost never right, so it computes two tokens per sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from vllm.config import VllmConfig
    from vllm.v1.kv_cache_interface import KVCacheConfig


class HiddenCache:
    """One tensor, (blocks, layers, tokens per block, width)."""

    prefix = ""  # of its parts' names

    def __init__(self, cache: torch.Tensor, layers: Sequence[int]) -> None:
        if cache.ndim != 4 or cache.shape[1] != len(layers):
            raise ValueError(f"hidden states: a cache of shape {tuple(cache.shape)} for {tuple(layers)}")
        self._cache, self.layers = cache, tuple(layers)
        self.block_tokens, self.width, self.device = cache.shape[2], cache.shape[3], cache.device

    def rows(self, blocks: Sequence[int]) -> torch.Tensor:
        """The states of all tokens of these blocks, (tokens, layers, width)."""
        chosen = torch.tensor(blocks, dtype=torch.long, device=self.device)
        return self._cache[chosen].transpose(1, 2).flatten(0, 1)


class HiddenSource:
    """What the scheduler and the worker must know to find it."""

    def __init__(self, config: VllmConfig) -> None:
        speculation = config.speculative_config
        if speculation is None or speculation.method != "extract_hidden_states":
            raise ValueError("hidden states: start vLLM with the speculative method extract_hidden_states")
        self.layers = tuple(speculation.draft_model_config.hf_config.eagle_aux_hidden_state_layer_ids)

    def group(self, config: KVCacheConfig | None) -> int:
        """Which of the cache's groups holds the states."""
        from vllm.v1.kv_cache_interface import HiddenStateCacheSpec

        groups: Sequence[Any] = config.kv_cache_groups if config is not None else ()
        found = [
            at for at, group in enumerate(groups) if isinstance(group.kv_cache_spec, HiddenStateCacheSpec)
        ]
        if not found and len(groups) == 1:
            return 0  # all layers share one block table
        if len(found) != 1:
            raise ValueError(
                f"hidden states: {len(found)} of {len(groups)} groups of the KV cache hold them; not 1"
            )
        return found[0]

    def cache(self, config: VllmConfig, caches: dict[str, torch.Tensor]) -> HiddenCache:
        """`caches`: by layer name, as vLLM registers them."""
        from vllm.config import get_layers_from_vllm_config
        from vllm.model_executor.models.extract_hidden_states import CacheOnlyAttentionLayer

        found = list(get_layers_from_vllm_config(config, CacheOnlyAttentionLayer, list(caches)))
        if len(found) != 1:
            raise ValueError(f"hidden states: one cache of states is expected, found {found}")
        return HiddenCache(caches[found[0]], self.layers)
