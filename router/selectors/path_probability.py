"""Votes weighed by the probability of the path that led to them; improbable paths do not vote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from predictors.observation import Sample, Signals, Tally
from router.selectors import Selection, Selector
from router.selectors.majority import Majority
from router.selectors.path_pruning import kept_paths
from router.selectors.vote_groups import by_class, ranked_answers


@dataclass(frozen=True, slots=True)
class PathProbability(Selector):
    """The answer y with the largest sum of p(path | query) over the different paths that were sampled and end in y.

    RPC (Zhou et al. 2025): perplexity consistency, whose error falls exponentially with samples where that of counting
    falls linearly, and reasoning pruning, which takes out the paths of the low component of a mixture of two Weibull
    distributions (`prune`; see `router.selectors.path_pruning`). p = exp(mean_logprob x tokens); `per_token` takes
    exp(mean_logprob) instead, for long traces, where one short path would outweigh all. Paths are equal where their
    texts are. Samples without log-probabilities do not vote; without any it is the majority. Fails where likely paths
    are wrong ones (short, generic answers), and after sampling that cuts the distribution (top_p): the probabilities
    are then not those that were sampled from.
    """

    per_token: bool = False
    prune: bool = True

    def select(self, samples: Sequence[Sample], tally: Tally, signals: Signals) -> Selection:
        """The most probable answer's most probable path first."""
        voting = {key: unlike(group) for key, group in by_class(samples).items()}
        voting = {key: group for key, group in voting.items() if group}
        if not voting:
            return Majority().select(samples, tally, signals)
        paths = [sample for group in voting.values() for sample in group]
        logs = {sample.sample_id: self.log_probability(sample) for sample in paths}
        highest = max(logs.values())
        probability = {sample_id: exp(value - highest) for sample_id, value in logs.items()}
        if self.prune:
            kept = kept_paths([logs[sample.sample_id] for sample in paths])
            dropped = {sample.sample_id for sample, keep in zip(paths, kept, strict=True) if not keep}
            probability |= dict.fromkeys(dropped, 0.0)
        score = {key: sum(probability[one.sample_id] for one in group) for key, group in voting.items()}
        return ranked_answers(
            samples,
            voting,
            score,
            signals,
            speaker=lambda group: max(group, key=lambda sample: logs[sample.sample_id]),
        )

    def log_probability(self, sample: Sample) -> float:
        """log p of a path whose log-probabilities are known, <= 0."""
        assert sample.mean_logprob is not None  # noqa: S101 (`unlike` leaves the others out)
        return sample.mean_logprob * (1 if self.per_token else max(1, sample.tokens_out))


def unlike(group: Sequence[Sample]) -> list[Sample]:
    """The samples with log-probabilities, each text once, in order of arrival; without texts all of them."""
    known = [sample for sample in group if sample.mean_logprob is not None]
    return list({sample.text or sample.sample_id: sample for sample in reversed(known)}.values())[::-1]
