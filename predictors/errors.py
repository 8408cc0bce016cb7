"""The errors that predictors raise.

PredictorError
├── FitError          the rows cannot be fitted (too few, one class only, not finite)
└── BundleError       a bundle is damaged or does not fit this configuration
"""

from __future__ import annotations


class PredictorError(Exception):
    """Root of everything that predictors raise."""


class FitError(PredictorError):
    """The rows cannot be fitted; the message says which and why."""


class BundleError(PredictorError):
    """A bundle is damaged or does not fit the configuration; the message says what differs."""
