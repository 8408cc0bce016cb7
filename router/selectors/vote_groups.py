"""Samples by answer class, and a ranking of the classes by any score."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

from predictors.observation import Sample, Signals
from router.selectors import Selection

Key = Hashable


def by_class(samples: Sequence[Sample]) -> dict[Key, list[Sample]]:
    """The samples of each answer class, classes in order of first arrival; those without a class are left out."""
    groups: dict[Key, list[Sample]] = {}
    for sample in samples:
        if sample.answer_class is not None:
            groups.setdefault(sample.answer_class, []).append(sample)
    return groups


def ranked_answers(
    samples: Sequence[Sample],
    groups: Mapping[Key, list[Sample]],
    score: Mapping[Key, float],
    signals: Signals,
    *,
    speaker: Callable[[list[Sample]], Sample] = lambda group: group[0],
) -> Selection:
    """One sample per class, the highest score first (of equals the class that came first), then those without one.

    The confidence is that of the winner's latest sample where it was predicted, else its share of the scores. Scores
    are >= 0. `speaker` picks the sample that stands for its class. With no class at all: the samples as they came.
    """
    if not groups:
        return Selection(tuple(samples), samples[0].confidence)
    order = sorted(groups, key=lambda key: score[key], reverse=True)  # stable
    grouped = {sample.sample_id for group in groups.values() for sample in group}
    rest = tuple(sample for sample in samples if sample.sample_id not in grouped)
    best, total = order[0], sum(score.values())
    share = score[best] / total if total > 0 else 1 / len(order)
    confidence = signals.get(f"sample_confidence/{groups[best][-1].sample_id}", min(1.0, share))
    return Selection(tuple(speaker(groups[key]) for key in order) + rest, confidence)
