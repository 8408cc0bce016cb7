"""Stop when what recorded runs gained from here on is too little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import log, log1p, sqrt
from typing import ClassVar

from predictors.observation import Observation, Signals
from router.domain.verdict import ENOUGH, ESCALATE, MORE, Verdict
from router.errors import ConfigError
from router.stopping import StoppingRule
from router.stopping.value_of_next import ValueOfNext, log_odds

FEATURES = (
    "one", "share", "lead", "samples", "left", "answers", "odds", "odds_share", "safe",
)  # fmt: skip
USUAL = 0.01  # the least gain where neither the plan nor a bundle says one


@dataclass(frozen=True, slots=True)
class LearnedStop(StoppingRule):
    """ENOUGH (or ESCALATE, where the leader has not more than half of the votes) where the gain is at most `least`.

    The gain, E[reward of the majority at the end - reward of the majority now], is linear in nine features of the
    votes, the samples left and P(right) (`vote_features`), fitted by least squares to all states that recorded runs
    passed (the learned termination of compute-optimal search, as a regression). Where the plan names no weights, they
    come with the bundle (`resolved`): `apportion fit` learns them for every stage that has this rule and as many
    recorded samples. The fit has a guard: on queries that it has not seen it must draw fewer samples than
    `value_of_next`, beyond chance and for no more loss, or there are no weights. Without weights it is `otherwise`.

    Fails on traffic, a model or a number of samples that it was not fitted to, and like every linear rule where the
    same gain stands for queries with one rival and with many.
    """

    # quality per feature, as many as FEATURES; (): the bundle's, if it has any
    weights: tuple[float, ...] = ()
    least: float | None = None  # quality, [0, 1): a smaller gain does not pay; None: the bundle's, else .01
    otherwise: StoppingRule = field(default_factory=ValueOfNext)

    reads_content: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if len(self.weights) not in (0, len(FEATURES)):
            raise ConfigError(
                f"learned_stop: weights must be none or {len(FEATURES)} ({', '.join(FEATURES)}), "
                f"got {len(self.weights)}"
            )
        if self.least is not None and not 0 <= self.least < 1:
            raise ConfigError(f"learned_stop: least must be in [0, 1), got {self.least}")

    @property
    def pays(self) -> float:
        """The least gain in force."""
        return USUAL if self.least is None else self.least

    def resolved(self, weights: tuple[float, ...], least: float) -> LearnedStop:
        """With what was learned for its stage; a least gain that the plan names stays."""
        return replace(self, weights=weights, least=least if self.least is None else self.least)

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """MORE while it gains."""
        if not self.weights:
            return self.otherwise.verdict(seen, signals)
        tally, latest = seen.tally, seen.latest
        left = seen.max_samples - tally.drawn
        if not tally.counts or latest is None or left <= 0:
            return MORE
        if self.gain(tally.counts, left, signals.get(f"p_correct/{latest.backend}", 0.5)) > self.pays:
            return MORE
        return ENOUGH if 2 * max(tally.counts) > tally.votes else ESCALATE

    def gain(self, counts: Sequence[int], left: int, right: float = 0.5) -> float:
        """What going on to the end is expected to add to the reward; `right`: P(a sample is right), (0, 1)."""
        features = vote_features(counts, left, right)
        return sum([weight * value for weight, value in zip(self.weights, features, strict=True)])


def vote_features(counts: Sequence[int], left: int, right: float = 0.5) -> tuple[float, ...]:
    """`FEATURES` of votes per answer (at least one, in any order), samples left and P(right).

    >>> [round(value, 3) for value in vote_features((3, 1), 4)]
    [1.0, 0.75, 1.0, 1.386, 1.609, 0.5, 0.0, 0.0, 0.4]
    """
    votes, leader = sum(counts), max(counts)
    rival = sorted(counts)[-2] if len(counts) > 1 else 0
    share, odds = leader / votes, log_odds(right)
    return (
        1.0,
        share,
        (leader - rival) / sqrt(votes),
        log(votes),
        log1p(left),
        len(counts) / votes,
        odds,
        odds * share,
        min(1.0, (leader - rival) / (left + 1)),  # 1: the leader cannot be overtaken
    )
