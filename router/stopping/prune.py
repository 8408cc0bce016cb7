"""Drop the weakest of the samples that are still growing."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import ClassVar

from predictors.observation import Observation, Sample, Signals
from router.domain.verdict import MORE, Action, Verdict
from router.errors import ConfigError
from router.stopping import StoppingRule


@dataclass(frozen=True, slots=True)
class Prune(StoppingRule):
    """PRUNE, once every growing sample has `at_tokens` tokens, all but the best `keep` of `max_samples`.

    Mid-generation pruning (Manvi et al. 2024: weak samples can be told early). A sample's strength is the first of
    these that all of the stage's samples have: `sample_confidence/<sample_id>`, the confidence that the model stated,
    its mean log-probability. Finished samples are ranked too and never dropped. Once at most the share is left it
    says MORE, so several check-points are several of it in `any_of`. Fails where early strength does not tell (a
    right trace that hesitates first is dropped), with backends that do not yield growing samples, and with samples
    that grow one after the other: the first ones are long finished.
    """

    at_tokens: int = 256  # prefix tokens of each growing sample, >= 1
    keep: float = 0.5  # share of `max_samples` that goes on, rounded up, (0, 1)

    reads_content: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.at_tokens < 1:
            raise ConfigError(f"prune: at_tokens must be at least 1, got {self.at_tokens}")
        if not 0 < self.keep < 1:
            raise ConfigError(f"prune: keep must lie between 0 and 1, got {self.keep}")

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """PRUNE the weakest."""
        drawn = seen.stage_samples
        spare = len(drawn) - ceil(self.keep * seen.max_samples)
        if spare <= 0:
            return MORE
        growing = [sample for sample in drawn if not sample.finished]
        if not growing or any((sample.prefix_tokens or 0) < self.at_tokens for sample in growing):
            return MORE
        strength = strengths(drawn, signals)
        if strength is None:
            return MORE
        # of equals the later one goes
        ranked = sorted(enumerate(drawn), key=lambda entry: (strength[entry[0]], -entry[0]))
        weakest = tuple(sample.sample_id for _, sample in ranked[:spare] if not sample.finished)
        return Verdict(Action.PRUNE, weakest) if weakest else MORE


def strengths(samples: tuple[Sample, ...], signals: Signals) -> list[float] | None:
    """One comparable number per sample, more is better; None where they have none in common."""
    for found in (
        [signals.get(f"sample_confidence/{sample.sample_id}") for sample in samples],
        [sample.confidence for sample in samples],
        [sample.mean_logprob for sample in samples],
    ):
        known = [value for value in found if value is not None]
        if len(known) == len(samples):
            return known
    return None
