"""A fixed random projection: fewer numbers per state, distances about kept, nothing to ship but a seed.

Signs ±1/sqrt(dims) (Achlioptas 2003), taken from SHAKE-256 of the seed, so that every server makes the same one. When
it fails: a few directions far larger than the rest (as many models have) take most of every projected number.
"""

from __future__ import annotations

from hashlib import shake_256


def signs(seed: int, width: int, dims: int) -> list[list[float]]:
    """The matrix (width, dims)."""
    bits = shake_256(f"apportion projection {seed} {width} {dims}".encode()).digest((width * dims + 7) // 8)
    one = dims**-0.5
    flat = [one if bits[at >> 3] >> (at & 7) & 1 else -one for at in range(width * dims)]
    return [flat[row * dims : (row + 1) * dims] for row in range(width)]
