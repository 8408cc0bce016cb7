"""The glossary holds every signal that anything emits, and none that nothing does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from predictors.bundle import signal_names
from router.stopping.self_eval import SIGNAL
from training.explain_signals import MEANINGS

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "router" / "docs" / "glossary.md").read_text()
LISTED = {
    one
    for row in re.findall(r"(?m)^\| (`.*?) \|", TEXT[TEXT.index("## Signals") :])
    for one in re.findall(r"`(\w+)", row)
}
GIVEN = {"price", "sample_cost"}  # to rules, beside what is predicted
PARTS = {"exits", "own", "backend", "canary", "forward"}  # of bundles, names of models and of states


def emitted() -> set[str]:
    """What is written as f"name/{...}" where signals are made, and what is said of every backend."""
    folders = ("predictors", "router", "router/first_decision", "router/allocation")
    places = [place for folder in folders for place in (ROOT / folder).glob("*.py")]
    found = {name for place in places for name in re.findall(r'f"([a-z_0-9]+)/\{', place.read_text("utf-8"))}
    probes = re.findall(r'\("(p_\w+)", self\.\w+\)', (ROOT / "predictors" / "state_head.py").read_text())
    return (found | set(probes) | {name.partition("/")[0] for name in signal_names("ab")} | {SIGNAL}) - PARTS


def test_every_signal_stands_in_it():
    assert emitted() - LISTED - {"tokens_in"} == set()  # tokens_in/B is read where somebody else gives it


def test_no_signal_stands_in_it_that_nothing_emits():
    assert LISTED - emitted() - GIVEN == {"sample_confidence"} - emitted()


def test_what_explain_puts_into_words_stands_in_it():
    assert set(MEANINGS) <= LISTED


def test_a_bundle_says_nothing_that_does_not_stand_in_it(small_bundle):
    from predictors.observation import Message, Observation, Part, Query, Sample, Tally

    bundle = small_bundle(1)
    query = Query("q", (Message("user", (Part(text="What is 2 + 3?"),)),))
    look = bundle.look(query)
    sample = Sample("s", "small", "5", answer="5", answer_class=0, tokens_in=8, tokens_out=1)
    said = {
        **look.signals,
        **bundle.confidence(Observation(query, (sample,), 0, Tally((1,), ("5",), 1)), look),
    }
    assert len(said) > 8
    assert {name.partition("/")[0] for name in said} <= LISTED


@pytest.mark.parametrize(
    "word", ["digest", "propensity", "commit", "plan", "stage", "price", "lease", "risk"]
)
def test_the_words_of_explain_and_status_stand_in_it(word):
    assert re.search(rf"(?m)^\| {word} \|", TEXT)
