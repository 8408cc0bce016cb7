"""The compiled reader of texts, `text_scan.c`, where it was built; elsewhere numpy does the same, more slowly.

The definition of every number is the Python beside it (`features`, `hashing`, `hashed`, `text_space`); the compiled
one agrees bit for bit, so that a bundle may be fitted with the one and served with the other.
"""

from __future__ import annotations

try:
    from predictors._text_scan import Scanner, add_rows

    BUILT = True
except ImportError:  # installed without a C compiler
    BUILT, Scanner, add_rows = False, None, None  # type: ignore[assignment, misc]

__all__ = ["BUILT", "Scanner", "add_rows"]
