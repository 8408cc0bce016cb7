"""Votes counted anew over samples that never shared a tally: those of several stages, or of one that was left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from predictors.observation import Sample, Tally
from router.answering.classes import AnswerClasses, voted


async def recount(classes: AnswerClasses, samples: Sequence[Sample], kind: str) -> tuple[list[Sample], Tally]:
    """The samples with classes of one common tally, and that tally."""
    tally, counted = Tally(), []
    for sample in samples:
        number = None if sample.answer is None else await classes.classify(tally, sample.answer, kind)
        tally = voted(tally, sample.answer, number)
        counted.append(replace(sample, answer_class=number))
    return counted, tally
