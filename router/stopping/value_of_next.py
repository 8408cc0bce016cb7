"""Stop when one more sample is worth less than it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import exp, log, log2
from typing import ClassVar

from predictors.evidence import hefts_of
from predictors.observation import Observation, Sample, Signals
from predictors.pass_rate import correlation
from router.domain.plan import LATER
from router.domain.verdict import ENOUGH, ESCALATE, MORE, Verdict
from router.errors import ConfigError
from router.stopping import StoppingRule
from router.stopping.vote_value import VoteModel, VoteValues, vote_values
from router.stopping.weighed_votes import standing

MOST = 40  # votes that are told apart; more are looked at in proportion
LOGIT_STEP, FURTHEST = 0.5, 4.5  # P(right) is rounded in logits, so that queries share what was computed
UNSURE = 1e-4  # no probability is taken to be nearer to 0 or 1
RHO_STEP = 0.1
LEAST_RHO = 0.05  # of votes with evidence; 1 - this at most
COSTS_PER_DOUBLING = 4  # the cost is rounded too, to 9 %
FEW, COST_OF_FEW, COST_OF_MORE = 10, 0.0055, 0.0033  # what a sample must add where nobody says it


@dataclass(frozen=True, slots=True)
class ValueOfNext(StoppingRule):
    """Going on is worth E[P(the answer is right) after the best number of further samples] less their cost.

    The model (`router.stopping.vote_value`): this query's pass rate is Beta with mean `p_correct/<backend>` and
    correlation from `p_two_correct/<backend>` (`right` and `alike` where they are not known), wrong answers spread as a
    Pitman-Yor process; the votes update both, and the answers' whole look-ahead to the last sample allowed is solved
    backwards (Adaptive inference-time compute, Manvi et al. 2024, and the introspection utility E[reward] - cost of
    ZIP-RC, 2025, by votes instead of a self-evaluation). A `sample_confidence` that differs from what the votes alone
    say of that answer moves the pass rate by `trust` of the difference in logits. A sample costs
    `price` x `sample_cost/<backend>` (quality per $, micro-dollars), and at least `cost`; where that is 0, what was
    seen to lose at most .2 points: .0055 of at most 10 votes, .0033 of more.

    Where a bundle says what samples are worth for themselves (`evidence/<sample_id>`), the answer in hand is that of
    the selector `weighted`, and going on is worth `telling` times the chance that the next sample is right where this
    answer is wrong (`router.stopping.weighed_votes`), divided by the votes so far: the more there are, the more seldom
    one more changes the answer. What a sample costs at least is then `cost_weighed`; with `fixed_cost` it is that, at
    any price: such a plan gives what its head has learned of it whoever asks, and the policy weighs its price.

    Where going on does not pay: ENOUGH if the leader is right with probability >= `keep`, else ESCALATE (on the last
    stage that ends the plan as well). Fails where wrong answers agree more than the model expects (systematic errors:
    raise `alike`, lower `concentration`), and on free text, where no two answers agree.
    """

    cost: float = 0.0  # quality that a sample must add at least, [0, 1); 0: by the number of samples
    keep: float = 0.5  # P(leader right), [.5, 1]
    trust: float = 0.25  # in the samples' confidence, [0, 1]
    right: float = 0.5  # P(a sample is right) without a prediction, (0, 1)
    alike: float = 0.4  # correlation of two samples of a query without a prediction, (0, 1)
    concentration: float = 1.5  # of wrong answers, > 0: how many different ones there are
    discount: float = 0.4  # of wrong answers, [0, 1): how rarely they repeat
    # quality that such a chance is worth after one vote, (0, 1]: right samples are not always preferred
    telling: float = field(default=0.65, metadata=LATER)
    # `cost` where samples bring evidence and `cost` is 0, [0, 1)
    cost_weighed: float = field(default=0.0105, metadata=LATER)
    # in place of all of these where samples bring evidence, whatever the price, [0, 1); 0: none
    fixed_cost: float = field(default=0.0, metadata=LATER)

    reads_content: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("right", "alike"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(
                    f"value_of_next: {name} must lie between 0 and 1, got {getattr(self, name)}"
                )
        if not 0.5 <= self.keep <= 1:
            raise ConfigError(f"value_of_next: keep must be in [0.5, 1], got {self.keep}")
        if not 0 <= self.trust <= 1:
            raise ConfigError(f"value_of_next: trust must be in [0, 1], got {self.trust}")
        if not self.concentration > 0:
            raise ConfigError(f"value_of_next: concentration must be above 0, got {self.concentration}")
        if not 0 <= self.discount < 1:
            raise ConfigError(f"value_of_next: discount must be in [0, 1), got {self.discount}")
        if not 0 < self.telling <= 1:
            raise ConfigError(f"value_of_next: telling must be in (0, 1], got {self.telling}")
        for name in ("cost", "cost_weighed", "fixed_cost"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"value_of_next: {name} must be in [0, 1), got {getattr(self, name)}")

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """MORE while it pays."""
        tally, latest = seen.tally, seen.latest
        left = seen.max_samples - tally.drawn
        if not tally.counts or latest is None or left <= 0:
            return MORE
        p = signals.get(f"p_correct/{latest.backend}")
        p2 = signals.get(f"p_two_correct/{latest.backend}")
        micros = signals.get(f"sample_cost/{latest.backend}", 0.0)
        price = signals.get("price", 0.0) * micros * 1e-6
        hefts = hefts_of(seen.stage_samples, len(tally.counts), signals)
        if p is not None and hefts is not None:
            gain, leader_right = self.weighed(
                tally.counts,
                hefts,
                p,
                self.alike if p2 is None else correlation(p, p2),
                self.fixed_cost or max(self.cost or self.cost_weighed, price),
            )
            return MORE if gain > 0 else ENOUGH if leader_right >= self.keep else ESCALATE
        confidence = None
        if p is not None and latest.finished:  # without predictors confidence is a guess from the same votes
            confidence = signals.get(f"sample_confidence/{latest.sample_id}")
        gain, leader_right = self.outlook(
            tally.counts,
            left,
            p_correct=p,
            p_two_correct=p2,
            cost=max(self.least(sum(tally.counts) + left), price),
            confidence=confidence,
            own=votes_of(latest, tally.counts),
        )
        if gain > 0:
            return MORE
        return ENOUGH if leader_right >= self.keep else ESCALATE

    def weighed(
        self, counts: Sequence[int], hefts: Sequence[float], p_correct: float, rho: float, cost: float
    ) -> tuple[float, float]:
        """(what the next sample is worth beyond its cost, P(the answer in hand is right)), from votes and evidence.

        `hefts`: the sum of exp(evidence) over the samples of each answer.
        """
        now = standing(counts, hefts, self.model(p_correct, rho))
        return self.telling * now.other / sum(counts) - cost, now.right

    def model(self, p_correct: float, rho: float) -> VoteModel:
        """Of votes, for a query; what is hardly possible is kept from being certain."""
        size = 1 / min(1 - LEAST_RHO, max(LEAST_RHO, rho)) - 1
        p = 1 / (1 + exp(-min(FURTHEST, max(-FURTHEST, log_odds(p_correct)))))
        return VoteModel(p * size, (1 - p) * size, self.concentration, self.discount)

    def settled(self, counts: Sequence[int], left: int) -> bool:
        """Whether going on does not pay by the votes alone: for replays (`router.stopping.vote_replay`).

        Where a query has predictions, of a rule whose `right`, `alike` and `cost` are what they say.
        """
        return left <= 0 or self.outlook(counts, left)[0] <= 0

    def least(self, votes: int) -> float:
        """What a sample must add, of a stage that ends with so many votes."""
        return self.cost or (COST_OF_FEW if votes <= FEW else COST_OF_MORE)

    def outlook(
        self,
        counts: Sequence[int],
        left: int,
        *,
        p_correct: float | None = None,
        p_two_correct: float | None = None,
        cost: float | None = None,
        confidence: float | None = None,
        own: int = 0,
    ) -> tuple[float, float]:
        """(what going on is worth beyond its cost, P(the leader is right)): all that `verdict` needs, of votes alone.

        `counts` as in a tally, at least one; `confidence`: of the latest sample, whose answer has `own` votes; `cost`
        in quality, default the rule's own.
        """
        ranked = sorted(counts, reverse=True)
        votes = sum(ranked)
        p = self.right if p_correct is None else p_correct
        rho = self.alike if p_correct is None or p_two_correct is None else correlation(p, p_two_correct)
        total = votes + left
        cost = self.least(total) if cost is None else cost
        column = rank(ranked, own)
        if total > MOST:
            ranked, total, cost = in_proportion(ranked, left, cost)
        odds = log_odds(p)
        values = self._values(odds, rho, total, cost)
        if confidence is not None and self.trust and own:
            by_votes = values.own_right[values.states.number(ranked), column]
            odds += self.trust * min(3.0, max(-3.0, log_odds(confidence) - log_odds(float(by_votes))))
            values = self._values(odds, rho, total, cost)
        state = values.states.number(ranked)
        return float(values.gain[state]), float(values.own_right[state, 0])

    def _values(self, odds: float, rho: float, most: int, cost: float) -> VoteValues:
        return solved(
            round(min(max(odds, -FURTHEST), FURTHEST) / LOGIT_STEP),
            min(9, max(1, round(rho / RHO_STEP))),
            round(COSTS_PER_DOUBLING * log2(cost)),
            most,
            self.concentration,
            self.discount,
        )


@lru_cache(maxsize=128)
def solved(
    odds_step: int, rho_step: int, cost_step: int, most: int, concentration: float, discount: float
) -> VoteValues:
    """The solved model of all queries that round to this."""
    right = 1 / (1 + exp(-odds_step * LOGIT_STEP))
    size = 1 / (rho_step * RHO_STEP) - 1
    model = VoteModel(right * size, (1 - right) * size, concentration, discount)
    return vote_values(model, most, 2 ** (cost_step / COSTS_PER_DOUBLING))


def in_proportion(ranked: Sequence[int], left: int, cost: float) -> tuple[list[int], int, float]:
    """(votes, most, cost) with `MOST` votes at the end in the place of more: each stands for several.

    They say less than all would, so it errs towards going on; answers with a small share are left out.
    """
    scale = MOST / (sum(ranked) + left)
    fewer = [max(1, int(votes * scale)) for votes in ranked]
    room = MOST if left <= 0 else MOST - 1  # while any is left, one is
    spare = max(0, sum(fewer) - room)  # never more than the answers that were rounded up to one vote
    return fewer[: len(fewer) - spare], MOST, cost / scale


def rank(ranked: Sequence[int], own: int) -> int:
    """The column of an answer with `own` votes: 0 to 2, 3 for the others."""
    return min(3, ranked.index(own)) if own in ranked else 3


def votes_of(sample: Sample, counts: Sequence[int]) -> int:
    """Votes for the sample's answer; 0 where it has none."""
    number = sample.answer_class
    return counts[number] if number is not None and number < len(counts) else 0


def log_odds(p: float) -> float:
    """log p / (1 - p), of p kept a little away from 0 and 1."""
    p = min(max(p, UNSURE), 1 - UNSURE)
    return log(p / (1 - p))
