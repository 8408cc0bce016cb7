"""Stop when the leading answer is certified to be the model's most frequent one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lgamma, log

from router.errors import ConfigError
from router.stopping.by_votes import ByVotes, top_two


@dataclass(frozen=True, slots=True)
class MajorityCertificate(ByVotes):
    """Anytime-valid: whatever the number of looks, a wrong certificate has probability at most `epsilon`.

    With a votes for the leader and b for a rival, E = 2^(a+b) B(a+1, b+1) is an e-value of "equally likely"
    (the uniform mixture over the rival's share, symmetric in a and b); stop when the smallest E over all rivals
    is >= 1/epsilon. E falls in b up to a, so the runner-up is the smallest (b = 0 for a rival that was never
    seen). Source: test martingales by the method of mixtures (Robbins 1970; Ville 1939). Fails to help with few
    samples: at epsilon = .05 the first certificate needs 8 equal answers. It certifies the model's mode, not
    that the mode is right.
    """

    epsilon: float = 0.05  # (0, 1)

    def __post_init__(self) -> None:
        if not 0 < self.epsilon < 1:
            raise ConfigError(f"majority_certificate: epsilon must lie between 0 and 1, got {self.epsilon}")

    def settled(self, counts: Sequence[int], left: int) -> bool:
        """The leader has its certificate against the runner-up, and so against all."""
        return log_e_value(*top_two(counts)) >= -log(self.epsilon)


def log_e_value(a: int, b: int) -> float:
    """log of 2^(a+b) B(a+1, b+1), for vote counts a, b >= 0.

    >>> round(log_e_value(0, 0), 12)
    0.0
    """
    return (a + b) * log(2.0) + lgamma(a + 1) + lgamma(b + 1) - lgamma(a + b + 2)
