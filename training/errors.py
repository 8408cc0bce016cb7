"""What training raises besides the router's and the predictors' errors.

    TrainingError
    └── NotEnoughData     a suite or a fit has no meaning on so little; the message says how much is needed
"""

from __future__ import annotations


class TrainingError(Exception):
    """Root: a command of training cannot go on; the message says what to change."""


class NotEnoughData(TrainingError):
    """Too few queries, samples or backends."""
