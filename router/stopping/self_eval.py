"""Stop when the model itself says that starting over would not be better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, log
from typing import ClassVar

from predictors.observation import Observation, Sample, Signals, TokenLogprob
from router.domain.asking import AskingRule
from router.domain.verdict import ENOUGH, MORE, Verdict
from router.errors import ConfigError
from router.stopping import StoppingRule

WORDS = "Would you do better if you started over? (Yes/No)"
SIGNAL = "self_eval"
EDGE = 1e-4  # probabilities are kept so far away from 0 and 1


@dataclass(frozen=True, slots=True)
class SelfEval(StoppingRule):
    """ENOUGH where the best P(No) of the stage's finished samples, calibrated, reaches `threshold`.

    Adaptive inference-time compute (Manvi et al. 2024): behind each finished sample its own backend is asked whether
    it would do better starting over, and puts out one token: one prefill on the prefix that it has in its cache. P(No)
    is No's share of the probability of both words among the likeliest tokens; calibrated it is
    1 / (1 + exp(-(shift + slope x log-odds))), both fitted to graded samples of the log: where the plan names neither,
    they come with the bundle (`resolved`), and without one it is taken at its word. P(No) itself is the signal
    `self_eval/<sample_id>`.

    The question is a side call, reserved, charged and counted. Nobody is asked where the backend is closed, while all
    cleverness is off, or about a sample without text; without any P(No) it says MORE. Fails without calibration: small
    models say No to anything, and the paper trained its model for the question; with servers that give no
    log-probabilities only the word itself counts, 0 or 1; and where a second URL of the backend, without the prefix
    in its cache, is asked.
    """

    threshold: float = 0.8  # calibrated probability, [0, 1]
    slope: float | None = None  # of the log-odds, > 0; None: the bundle's, else 1
    shift: float | None = None  # of the log-odds; None: the bundle's, else 0
    words: str = WORDS

    reads_content: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"self_eval: threshold must lie in [0, 1], got {self.threshold}")
        if self.slope is not None and not self.slope > 0:
            raise ConfigError(f"self_eval: slope must be above 0, got {self.slope}")
        if not self.words.strip():
            raise ConfigError("self_eval: words must be a question")

    @property
    def asking(self) -> tuple[AskingRule, ...]:
        """Itself."""
        return (self,)

    def resolved(self, slope: float, shift: float) -> SelfEval:
        """With the calibration of its backend and question."""
        return replace(self, slope=slope, shift=shift)

    def heard(self, sample_id: str, reply: Sample) -> dict[str, float]:
        """P(No) under `self_eval/<sample_id>`."""
        chance = chance_of_no(reply)
        return {} if chance is None else {f"{SIGNAL}/{sample_id}": chance}

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """ENOUGH where one of the samples need not be done again."""
        heard = [
            signals.get(f"{SIGNAL}/{sample.sample_id}")
            for sample in seen.stage_samples
            if sample.answer_class is not None and sample.finished
        ]
        best = max((chance for chance in heard if chance is not None), default=None)
        return ENOUGH if best is not None and self.calibrated(best) >= self.threshold else MORE

    def calibrated(self, chance: float) -> float:
        """P(starting over would not be better) where the model says No with this chance.

        >>> round(SelfEval(slope=0.5, shift=-1.0).calibrated(0.9), 3)
        0.525
        """
        chance = min(max(chance, EDGE), 1 - EDGE)
        slope, shift = 1.0 if self.slope is None else self.slope, self.shift or 0.0
        return 1 / (1 + exp(-(shift + slope * log(chance / (1 - chance)))))


def chance_of_no(reply: Sample) -> float | None:
    """P(No) / (P(No) + P(Yes)) at the reply's first token; by its text alone where there are no probabilities."""
    if reply.token_logprobs:
        first = reply.token_logprobs[0]
        tokens: Sequence[TokenLogprob] = first.top or (first,)
        said = {
            word: sum(exp(one.logprob) for one in tokens if one.token.strip().casefold() == word)
            for word in ("yes", "no")
        }
        if sum(said.values()) > 0:
            return said["no"] / sum(said.values())
    word = reply.text.strip().strip(".!*\"'").casefold()
    return {"no": 1.0, "yes": 0.0}.get(word)
