"""Matrices are multiplied in one thread: threads that share small ones wait for one another longer than they multiply.

Sums are then no matter of how many cores there are, either. Only libraries that are loaded can be limited, and scipy
brings a BLAS of its own, with its first function: it is loaded before. When it fails: a library with threads of its
own that something inside loads later.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_thread() -> Iterator[None]:
    """What runs inside multiplies in one thread; what limits there were before hold again afterwards."""
    import scipy.linalg  # noqa: F401 (see above)

    with threadpool_limits(1):
        yield
