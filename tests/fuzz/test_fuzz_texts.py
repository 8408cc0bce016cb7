"""What models say, and what passes through: answers are found or not, usage is read or not, nothing fails and nothing is slow."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import Any

from predictors.features import FeatureSpec, Featurizer
from router.answers import ANSWER_KINDS, LONG, canonical, extract
from router.backends.forwarder import usage_in
from router.openai_door.forwarding import as_named

SAID = [
    "The answer is 42.", "so \\boxed{\\frac{3}{4}} it is, $x^2$", "#### 1,234.50\n", "**Answer:** (B)\n\n```python\nprint('4')\n```",
    '<think>hm</think> {"city": "Paris", "degrees": [21, 1.5e3, null]}', "On 31 January 2027, or 2027-01-31.", "<answer>\n½ km\n</answer>",
    "\\[\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}\\]", "It is −7 % of 10^400", "Yes. " * 50,
]  # fmt: skip
WORDS = [
    b"\\boxed{" * 30, b"$" * 9, b"\\frac{" * 20, b"(" * 500, b"1" * 3000, b"9.9e999999999", b"```", b"{" * 300, b"<answer>", b"Answer: ",
    "٣٤".encode(), "⅓²".encode(), b"1/0", b"10^10^10", b"\\sqrt{", b"  " * 400, b"\n#### ",
]  # fmt: skip


def test_answers_in_texts(fuzz, mutations):
    make = mutations.damaged([said.encode() for said in SAID], WORDS)
    kinds = sorted(ANSWER_KINDS)

    def both(rng: Random) -> tuple[str, str]:
        return rng.choice(kinds), make(rng).decode("utf-8", "replace")

    def read(made: tuple[str, str]) -> None:
        kind, text = made
        found = extract(text, kind)
        if found is None:
            raise LookupError
        assert len(canonical(found, kind)) <= LONG

    fuzz(both, read, (LookupError,))


def test_bodies_that_are_sent_on_and_what_they_used(fuzz, mutations):
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
    make = mutations.strange_json(
        [{"model": "small", "input": ["a"], "usage": usage}, {"usage": usage, "data": [{"embedding": [0.5]}]}]
    )
    forwarder: Any = SimpleNamespace(name="small", config=SimpleNamespace(model="org/small"))

    def read(raw: bytes) -> None:
        sent = as_named(raw, forwarder)
        assert sent == raw or b'"model":"org/small"' in sent
        used = usage_in(raw)
        if used is None:
            raise LookupError
        assert min(used.tokens_in, used.tokens_out) >= 0

    fuzz(make, read, (LookupError,))


def test_features_of_texts_are_those_of_numpy(fuzz, mutations):
    make = mutations.damaged([said.encode() for said in SAID], WORDS)
    compiled, plain = Featurizer(FeatureSpec()), Featurizer(FeatureSpec(), plain=True)

    def read(raw: bytes) -> None:
        text = raw.decode("utf-8", "surrogateescape")
        one, other = compiled.of_text(text), plain.of_text(text)
        assert one.dense.tobytes() == other.dense.tobytes()
        assert one.buckets.tobytes() == other.buckets.tobytes()
        if any(0xD800 <= ord(character) < 0xE000 for character in text):  # read by Python alone, in both
            raise LookupError

    fuzz(make, read, (LookupError,))
