"""In vLLM's environment: value vectors that vLLM's kernels wrote into a cache, read by our connector's `ValueCache`.

Writes `{"differences": {form: the largest}, "groups": {case: group, or the refusal}}` on the output. Blocks are owned
out of order, as a request owns them.
"""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

BLOCKS, HEADS, SIZE, HEAD, TOKENS = 7, 3, 32, 64, 80
OWNED = (5, 1, 4)  # block of the first 32 tokens, of the next, …


def main() -> None:
    """Both."""
    json.dump({"differences": differences(), "groups": groups()}, sys.stdout)


def differences() -> dict[str, float]:
    """Every form that this processor's kernels write, and the one of GPUs in both of its orders in memory."""
    import torch
    from vllm import _custom_ops as kernels

    from predictors.vllm.value_cache import _ON_CPUS, SIDE_BY_SIDE, ValueCache

    torch.manual_seed(1)
    slots = torch.tensor([OWNED[at // SIZE] * SIZE + at % SIZE for at in range(TOKENS)])
    out: dict[str, float] = {}

    def compare(name: str, cache: torch.Tensor, form: str, value: torch.Tensor) -> None:
        read = ValueCache([cache, cache], (3, 9), SIZE, HEAD, form).rows(OWNED)[:TOKENS]
        assert read.shape == (TOKENS, 2, HEADS * HEAD), read.shape
        out[name] = float((read.float() - value.float().flatten(1)[:, None]).abs().max())

    for kernel, form in _ON_CPUS.items():
        if kernel == "amx" and not torch.cpu._is_amx_tile_supported():
            continue
        kind = torch.bfloat16 if kernel == "amx" else torch.float32
        key, value = torch.randn(2, TOKENS, HEADS, HEAD, dtype=kind)
        cache = torch.zeros(BLOCKS, HEADS, SIZE, 2 * HEAD, dtype=kind)
        keys, values = cache.view(BLOCKS, HEADS, 2 * SIZE, HEAD).chunk(2, dim=2)
        kernels.cpu_attn_reshape_and_cache(key, value, keys, values, slots, kernel)
        compare(kernel, cache, form, value)
    key, value = torch.randn(2, TOKENS, HEADS, HEAD)
    for name, cache in {
        "heads first": torch.zeros(BLOCKS, HEADS, SIZE, 2 * HEAD),
        "tokens first": torch.zeros(BLOCKS, SIZE, HEADS, 2 * HEAD).transpose(1, 2),
    }.items():
        cache.transpose(1, 2)[slots // SIZE, slots % SIZE] = torch.cat([key, value], dim=-1)
        compare(name, cache, SIDE_BY_SIDE, value)
        for split in (2, 4):  # a tensor's blocks are parts of those that a request owns
            parts = torch.zeros(BLOCKS * split, HEADS, SIZE // split, 2 * HEAD)
            parts.transpose(1, 2)[slots // (SIZE // split), slots % (SIZE // split)] = torch.cat(
                [key, value], dim=-1
            )
            compare(f"{name}, {split} parts", parts, SIDE_BY_SIDE, value)
    return out


def groups() -> dict[str, int | str]:
    """Which group of caches holds the layers that were asked for, of models that are not all alike."""
    import torch
    from vllm.v1.kv_cache_interface import (
        FullAttentionSpec,
        KVCacheConfig,
        KVCacheGroupSpec,
        MLAAttentionSpec,
        SlidingWindowSpec,
    )

    from predictors.vllm.value_cache import ValueSource

    one = {"block_size": SIZE, "num_kv_heads": HEADS, "head_size": HEAD}
    full = FullAttentionSpec(**one, dtype=torch.bfloat16)
    sliding = SlidingWindowSpec(**one, dtype=torch.bfloat16, sliding_window=128)
    whole = SimpleNamespace(parallel_config=SimpleNamespace(decode_context_parallel_size=1))
    spread = SimpleNamespace(parallel_config=SimpleNamespace(decode_context_parallel_size=2))

    def named(spec: object, *layers: int) -> KVCacheGroupSpec:
        return KVCacheGroupSpec([f"model.layers.{layer}.self_attn.attn" for layer in layers], spec)

    cases = {
        "all alike": (whole, [named(full, 0, 1, 2)], (0, 2)),
        "full attention here and there": (whole, [named(sliding, 0, 1), named(full, 2, 5)], (5,)),
        "a sliding window": (whole, [named(sliding, 0, 1), named(full, 2, 5)], (1, 5)),
        "two groups": (whole, [named(full, 0, 1), named(full, 2, 3)], (1, 2)),
        "eight bits": (whole, [named(FullAttentionSpec(**one, dtype=torch.uint8), 0, 1)], (1,)),
        "latent": (whole, [named(MLAAttentionSpec(**one, dtype=torch.bfloat16), 0, 1)], (1,)),
        "spread over ranks": (spread, [named(full, 0, 1)], (1,)),
    }
    found: dict[str, int | str] = {}
    for name, (config, there, layers) in cases.items():
        try:
            found[name] = ValueSource(config, layers).group(KVCacheConfig(8, [], there))
        except ValueError as error:
            found[name] = str(error)
    return found


if __name__ == "__main__":
    main()
