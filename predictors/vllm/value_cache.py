"""Where the value vectors are: in the KV cache that attention fills anyway, so that they cost the model nothing.

A block's value vectors are a linear image (its `v_proj`) of the normed hidden state that the block reads, without the
rotation by position that keys have: what is linear in them is linear in that state. Layer L is the block that reads the
state after L blocks, from 0 to the depth less one. Fewer numbers than the state has: key-value heads times head size.

When it fails: caches without vectors of whole precision (fp8), without values of their own (MLA), without all tokens
(sliding windows), spread over ranks (context parallelism), or in a form that is not known here; each ends the server's
start with a sentence. With tensor parallelism the first rank's heads are handed out alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from vllm.config import VllmConfig
    from vllm.v1.kv_cache_interface import KVCacheConfig

SIDE_BY_SIDE = "side by side"  # each token's key, then its value
KEYS_FIRST = "keys first"  # each block's keys, then its values, both token by token
TILED = "tiled"  # the same, the values in tiles of 16 numbers by pairs of tokens
_ON_GPUS = ("FLASH_ATTN", "FLASHINFER", "FLEX_ATTENTION", "TRITON_ATTN")
_ON_CPUS = {"vec": KEYS_FIRST, "vec16": KEYS_FIRST, "amx": TILED}  # kernel -> form
_TILE = 16
_NUMBER = re.compile(r"(?:^|\.)(\d+)(?=\.|$)")
_PLAIN = (torch.float32, torch.float16, torch.bfloat16)


class ValueCache:
    """One tensor per layer, (blocks, heads, tokens per block, key and value), in one of three forms."""

    prefix = "value_"  # of its parts' names

    def __init__(
        self, caches: Sequence[torch.Tensor], layers: Sequence[int], block_tokens: int, head: int, form: str
    ) -> None:
        """`block_tokens`: of the blocks that requests own; a tensor's own may be a part of these. `head`: its width."""
        shapes = {tuple(cache.shape) for cache in caches}
        if len(shapes) != 1 or len(caches) != len(layers):
            raise ValueError(f"value vectors: caches of shapes {sorted(shapes)} for layers {tuple(layers)}")
        (shape,) = shapes
        if len(shape) != 4 or shape[3] != 2 * head or block_tokens % shape[2]:
            raise ValueError(
                f"value vectors: a cache of shape {shape}; (blocks, heads, {block_tokens}, {2 * head}) is expected"
            )
        _, heads, size, _ = shape
        self.layers, self.block_tokens = tuple(layers), block_tokens
        self.width, self.device = heads * head, caches[0].device
        self._form, self._split = form, block_tokens // size
        if form == SIDE_BY_SIDE:
            self._values = [cache[..., head:] for cache in caches]
        else:
            self._values = [cache.view(shape[0], heads, 2 * size, head)[:, :, size:] for cache in caches]

    def rows(self, blocks: Sequence[int]) -> torch.Tensor:
        """The value vectors of all tokens of these blocks, (tokens, layers, width), heads one after the other."""
        parts = range(self._split)
        own = [block * self._split + part for block in blocks for part in parts]
        chosen = torch.tensor(own, dtype=torch.long, device=self.device)
        return torch.stack([self._tokens(values[chosen]) for values in self._values], dim=1)

    def _tokens(self, values: torch.Tensor) -> torch.Tensor:
        """(blocks, heads, tokens, head) as the cache has it to (all tokens, width)."""
        blocks, heads, size, head = values.shape
        if self._form == TILED:  # a head's values: (tiles, pairs of tokens, 16, 2)
            tiles = values.reshape(blocks, heads, head // _TILE, size // 2, _TILE, 2)
            return tiles.permute(0, 3, 5, 1, 2, 4).reshape(blocks * size, heads * head)
        return values.transpose(1, 2).reshape(blocks * size, heads * head)


class ValueSource:
    """What the scheduler and the worker must know to find them."""

    def __init__(self, config: VllmConfig, layers: Sequence[int]) -> None:
        if config.parallel_config.decode_context_parallel_size > 1:
            raise ValueError("value vectors: context parallelism is not supported")
        self.layers = tuple(layers)
        self._names: tuple[str, ...] = ()
        self._spec: Any = None

    def group(self, config: KVCacheConfig | None) -> int:
        """Which of the cache's groups holds the layers; they must be in one."""
        groups: Sequence[Any] = config.kv_cache_groups if config is not None else ()
        found = [_readable(group) for group in groups]
        for at, there in enumerate(found):
            if set(self.layers) <= set(there):
                self._names = tuple(there[layer][0] for layer in self.layers)
                self._spec = there[self.layers[0]][1]
                return at
        choices = "; or ".join(", ".join(map(str, sorted(there))) for there in found if there) or "none"
        raise ValueError(f"value vectors: layers = {list(self.layers)}; choose from {choices}")

    def cache(self, config: VllmConfig, caches: dict[str, torch.Tensor]) -> ValueCache:
        """`caches`: by layer name, as vLLM registers them. After `group`."""
        from vllm.config import get_layers_from_vllm_config
        from vllm.model_executor.layers.attention import Attention

        known = get_layers_from_vllm_config(config, Attention, list(self._names))
        forms = {_form(known[name]) for name in self._names}
        if len(forms) != 1:
            raise ValueError(f"value vectors: layers {list(self.layers)} are kept in {len(forms)} forms")
        chosen = [caches[name] for name in self._names]
        return ValueCache(chosen, self.layers, self._spec.block_size, self._spec.head_size, next(iter(forms)))


def _readable(group: Any) -> dict[int, tuple[str, Any]]:
    """Layer -> its name and spec, of those in a group whose value vectors can be read."""
    from vllm.v1.kv_cache_interface import FullAttentionSpec

    found: dict[int, tuple[str, Any]] = {}
    for name in group.layer_names:
        specs = getattr(group.kv_cache_spec, "kv_cache_specs", None)
        spec = specs[name] if specs is not None else group.kv_cache_spec
        numbers = _NUMBER.findall(name)
        if type(spec) is not FullAttentionSpec or spec.head_size_v != spec.head_size:
            continue
        if spec.dtype in _PLAIN and len(numbers) == 1:
            found[int(numbers[0])] = name, spec
    return found


def _form(layer: Any) -> str:
    """In which form a layer's attention keeps its cache; raises `ValueError` where that is not known."""
    backend = layer.get_attn_backend().get_name()
    kernel = getattr(layer, "isa", "")
    if backend in _ON_GPUS:
        return SIDE_BY_SIDE
    if backend == "CPU_ATTN" and kernel in _ON_CPUS:
        return _ON_CPUS[kernel]
    choices = ", ".join((*_ON_GPUS, *(f"CPU_ATTN {name}" for name in _ON_CPUS)))
    raise ValueError(f"value vectors: attention by {backend} {kernel}".rstrip() + f"; choose from {choices}")
