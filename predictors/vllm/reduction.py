"""From the cached states of a sequence's tokens to a few vectors: chosen tokens and means, on the cache's own device.

A sequence owns a list of blocks of the cache, in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import string_at
from dataclasses import dataclass
from typing import Protocol

import torch

from predictors.vllm.asked import MOST_MARKS
from predictors.vllm.options import PARTS
from predictors.vllm.projection import signs
from predictors.vllm.state_file import States

_BLOCKS_AT_ONCE = 64  # a long trace is summed in pieces of some MB
_HIGHEST = 60_000.0  # float16 ends at 65,504


@dataclass(frozen=True, slots=True)
class Sequenced:
    """Where a finished sequence's states are."""

    blocks: tuple[int, ...]
    prompt: int  # tokens of the prompt, >= 1
    tokens: int  # tokens with a state, >= prompt
    marks: tuple[int, ...] = ()  # positions < tokens


class Cache(Protocol):
    """Vectors of tokens in blocks: hidden states or value vectors."""

    prefix: str  # what its parts' names begin with
    layers: tuple[int, ...]
    block_tokens: int
    width: int  # of a vector
    device: torch.device

    def rows(self, blocks: Sequence[int]) -> torch.Tensor:
        """Those of all tokens of these blocks, (tokens, layers, width)."""
        ...


class Reducer:
    """Reduces sequences of one cache, on a stream of its own where the cache is on a GPU."""

    def __init__(self, cache: Cache, parts: Sequence[str], dims: int, seed: int) -> None:
        self._cache, self._parts = cache, tuple(parts)
        self._projection = None
        if dims:
            self._projection = torch.tensor(signs(seed, cache.width, dims), device=cache.device)
        self._side: torch.cuda.Stream | None = None

    def so_far(self) -> torch.cuda.Event | None:
        """What the model has enqueued up to now; None on a CPU, where it is done already."""
        return torch.cuda.current_stream().record_event() if self._cache.device.type == "cuda" else None

    def __call__(self, sequence: Sequenced, ready: torch.cuda.Event | None) -> States:
        """Called in the writer's thread, `ready` being `so_far` after the sequence's last step."""
        with torch.inference_mode():
            if ready is None:
                return reduced(self._cache, sequence, self._parts, self._projection)
            if self._side is None:
                self._side = torch.cuda.Stream(self._cache.device)
            with torch.cuda.stream(self._side):
                self._side.wait_event(ready)
                return reduced(self._cache, sequence, self._parts, self._projection)


def kept_marks(positions: Sequence[int], tokens: int) -> tuple[int, ...]:
    """The positions that have a state, at most `MOST_MARKS`: where there are more, evenly spaced with the last."""
    there = sorted({position for position in positions if position < tokens})
    if len(there) <= MOST_MARKS:
        return tuple(there)
    step = (len(there) - 1) / (MOST_MARKS - 1)
    return tuple(there[round(place * step)] for place in range(MOST_MARKS))


def reduced(
    cache: Cache,
    sequence: Sequenced,
    parts: Sequence[str],
    projection: torch.Tensor | None,
) -> States:
    """The parts of every layer, part by part; where there is no answer its parts are the prompt's last state.

    `projection`: (width, dims) on the cache's device, or None.
    """
    named, rows = [], []  # each row (layers, width)
    for part in parts:
        named.append(cache.prefix + part)
        rows.append(_part(cache, sequence, part))
    for mark in sequence.marks:
        named.append(f"{cache.prefix}mark:{mark}")
        rows.append(_token(cache, sequence.blocks, mark))
    values = torch.stack(rows)  # (parts, layers, width)
    if projection is not None:
        values = values @ projection
    values = torch.nan_to_num(values, 0.0, _HIGHEST, -_HIGHEST).clamp_(-_HIGHEST, _HIGHEST)
    plain = values.to(torch.float16).contiguous().cpu()  # waits for the device, in the writer's thread
    return States(
        tuple((name, layer) for name in named for layer in cache.layers),
        int(plain.shape[-1]),
        sequence.prompt,
        sequence.tokens - sequence.prompt,
        string_at(plain.data_ptr(), 2 * plain.numel()),  # little-endian, as every machine that vLLM runs on
    )


def _part(cache: Cache, sequence: Sequenced, part: str) -> torch.Tensor:
    prompt, tokens = sequence.prompt, sequence.tokens
    match part:
        case "prompt_last":
            return _token(cache, sequence.blocks, prompt - 1)
        case "prompt_mean":
            return _mean(cache, sequence.blocks, 0, prompt)
        case "answer_last":
            return _token(cache, sequence.blocks, tokens - 1)
        case "answer_mean":
            return _mean(cache, sequence.blocks, min(prompt, tokens - 1), tokens)
    raise ValueError(f"unknown part {part!r}; choose from {', '.join(PARTS)}")


def _token(cache: Cache, blocks: Sequence[int], position: int) -> torch.Tensor:
    size = cache.block_tokens
    return cache.rows([blocks[position // size]])[position % size].float()


def _mean(cache: Cache, blocks: Sequence[int], start: int, end: int) -> torch.Tensor:
    """Mean over the tokens [start, end), (layers, width), summed in float32."""
    size = cache.block_tokens
    total = torch.zeros(len(cache.layers), cache.width, dtype=torch.float32, device=cache.device)
    first, last = start // size, (end - 1) // size + 1
    for at in range(first, last, _BLOCKS_AT_ONCE):
        until = min(last, at + _BLOCKS_AT_ONCE)
        rows = cache.rows(blocks[at:until])
        inside = rows[max(0, start - at * size) : end - at * size]
        total += inside.sum(dim=0, dtype=torch.float32)
    return total / (end - start)
