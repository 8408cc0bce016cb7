"""What training raises besides the router's and the predictors' errors.

TrainingError
├── NotEnoughData     a suite or a fit has no meaning on so little; the message says how much is needed
└── JudgeRefused      a judge whose labels would mean nothing; the message has the measured rates
"""

from __future__ import annotations


class TrainingError(Exception):
    """Root: a command of training cannot go on; the message says what to change."""


class NotEnoughData(TrainingError):
    """Too few queries, samples or backends."""


class JudgeRefused(TrainingError):
    """Answers that say nothing do too well with this judge; `null_scores`: null answer -> mean score."""

    def __init__(self, message: str, null_scores: dict[str, float]) -> None:
        super().__init__(message)
        self.null_scores = null_scores
