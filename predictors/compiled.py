"""What is compiled of the heads' arithmetic, where it was built; elsewhere numpy does the same, more slowly.

`text_scan.c` reads texts, `row_sums.c` adds up rows of tables. The definition of every number is the Python beside
its use; the compiled ones agree bit for bit, so that a bundle may be fitted with the one and served with the other.
"""

from __future__ import annotations

try:
    from predictors._row_sums import add_rows, scaled_sum
    from predictors._text_scan import Scanner

    BUILT = True
except ImportError:  # installed without a C compiler
    BUILT, Scanner, add_rows, scaled_sum = False, None, None, None  # type: ignore[assignment, misc]  # nobody calls them then

__all__ = ["BUILT", "Scanner", "add_rows", "scaled_sum"]
