"""What a verifier says of a sample while its query runs, without a gold answer."""

from __future__ import annotations

from predictors.observation import Query, Sample
from router.answers import extract
from router.verifiers import Case, Verifier


def verified_score(verifier: Verifier, query: Query, sample: Sample) -> float | None:
    """The verifier's score of a sample, whose answer is found in the way that the verifier says. May block."""
    answer = sample.answer
    if sample.text and verifier.answer_kind != "auto":
        answer = extract(sample.text, verifier.answer_kind)
    return verifier.grade(Case(query.text, task=query.task_hint), answer)
