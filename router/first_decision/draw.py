"""Randomness that can be repeated: every draw is a keyed hash of the service's seed and the query's own key."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from predictors.observation import Query


def unit(seed: int, purpose: str, key: str) -> float:
    """A number in [0, 1), uniform over keys; equal arguments give equal numbers on every machine."""
    digest = hashlib.blake2b(
        f"{seed}\x00{purpose}\x00{key}".encode("utf-8", "surrogatepass"), digest_size=8
    ).digest()
    return (int.from_bytes(digest, "big") >> 11) * 2.0**-53


def draw_key(query: Query) -> str:
    """What a draw belongs to: the session where one is given (one draw per session), else the request."""
    return f"session:{query.session_id}" if query.session_id else f"request:{query.request_id}"


def pick(probabilities: Sequence[float], u: float) -> int:
    """The index that `u` in [0, 1) falls on; never one with probability 0."""
    reached = 0.0
    last = 0
    for index, probability in enumerate(probabilities):
        if probability <= 0.0:
            continue
        reached += probability
        last = index
        if u < reached:
            return index
    return last  # the probabilities may sum to a little less than 1


def stage_seed(seed: int, query: Query, stage: int) -> int:
    """The sampling seed of one stage, in [0, 2^31); the caller's own seed comes first where it is given."""
    own = query.sampling.seed
    base, key = (own, "") if own is not None else (seed, query.request_id)
    return int(unit(base, f"stage {stage}", key) * 2**31)
