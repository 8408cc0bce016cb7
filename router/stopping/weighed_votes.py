"""Which answer is right, by votes and by what each sample says for itself; and what one more sample could change.

Votes as in `vote_value` (pass rate ~ Beta(a, b), wrong answers a Pitman-Yor process). A sample's evidence e is the
logarithm of how much likelier such a sample is if it is right; an answer's weight is that of its votes times the mean
of exp(e) over its samples, once and not once per sample: samples that agree also look alike, and their product would
count what they share again and again. The answer in hand is the one with the largest sum of exp(e): without evidence
the majority.

Another sample helps where it is right and the answer in hand is wrong. With P_j = P(answer j is right), v_j its votes
and n all of them that chance is (P_none a + sum over others of P_j (a + v_j)) / (a + b + n). Looking further ahead
changes nothing: the chance that one of m more helps is concave in m, so that the best m is worth its cost exactly where
the first sample is.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, lgamma, log
from typing import NamedTuple

from router.stopping.vote_value import VoteModel

FURTHEST = 50.0  # of a weight's logarithm


class Standing(NamedTuple):
    """After some votes."""

    leader: int  # number of the answer in hand
    right: float  # P(it is right)
    other: float  # P(the next sample is right and says something else)


def standing(counts: Sequence[int], hefts: Sequence[float], model: VoteModel) -> Standing:
    """`counts`: votes per answer, at least one each; `hefts`: the sum of exp(evidence) over each answer's samples."""
    a, b = model.a, model.b
    votes = sum(counts)
    known: dict[int, float] = {}
    weights = []
    for count, heft in zip(counts, hefts, strict=True):
        if count not in known:
            known[count] = _log_weight(count, votes, len(counts), model)
        weights.append(exp(min(FURTHEST, known[count] + log(heft / count))))
    total = 1.0 + sum(weights)
    leader = max(range(len(counts)), key=hefts.__getitem__)  # of equals the first
    helps = a + sum([weight * (a + count) for weight, count in zip(weights, counts, strict=True)])
    helps -= weights[leader] * (a + counts[leader])
    return Standing(leader, weights[leader] / total, max(0.0, helps) / (total * (a + b + votes)))


def _log_weight(count: int, votes: int, answers: int, model: VoteModel) -> float:
    """Of "this answer is right" against "none of them is", by votes."""
    a, b, concentration, discount = model
    wrong = votes - count
    return (
        lgamma(a + count)
        - lgamma(a)
        + lgamma(b + wrong)
        - lgamma(b + votes)
        - log(concentration + (answers - 1) * discount + 1e-12)
        - (lgamma(count - discount) - lgamma(1 - discount))
        - (lgamma(concentration + wrong + 1e-12) - lgamma(concentration + votes + 1e-12))
    )
