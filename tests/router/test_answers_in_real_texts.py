"""Answers are found in what real models wrote: grading them again gives the labels that came with the data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from router.answers import extract
from router.recording import Recording
from router.verifiers import Case
from router.verifiers.number import Number

RECORDING = Path(os.environ.get("APPORTION_RECORDINGS", "../shared/data")) / "routellm-gsm8k"


@pytest.mark.parametrize("kind", ["number", "auto", "math"])
def test_word_problems_are_graded_as_their_authors_did(kind):
    if not RECORDING.is_dir():
        pytest.skip(f"no recording at {RECORDING}: set APPORTION_RECORDINGS to the folder of real recordings")
    recording = Recording.load(RECORDING)
    golds = [query.gold for query in recording.queries]
    agreed = 0
    for row, query in enumerate(recording.columns.query):
        answer = extract(recording.value(row, "text") or "", kind)
        agreed += Number().grade(Case("", golds[query]), answer) == recording.columns.reward[row]
    # most of the rest are theirs: "$7.00" was counted as wrong where 7 is right
    assert agreed / len(recording.columns) > 0.975
