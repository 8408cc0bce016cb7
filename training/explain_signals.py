"""What was predicted of a query, in words: one line per kind of signal, with what it means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

MEANINGS = {  # in the order they are told; the glossary says more
    "p_correct": "a single sample is right",
    "p_two_correct": "two samples are both right",
    "reward": "expected reward of a single sample",
    "gain": "expected reward of the first less the second",
    "plan_quality": "expected reward of a plan",
    "table_quality": "mean reward of a plan among queries as difficult",
    "plan_samples": "expected samples of a plan's stages",
    "helps": "what a plan's further samples and stages add",
    "tokens_out": "expected output tokens",
    "tokens_out_p90": "output tokens that nine of ten samples stay below",
    "sample_confidence": "the sample that came is right",
    "evidence": "log of how much likelier such a sample is if it is right",
    "verified": "what the verifier gave",
    "going_on": "expected reward of asking further, given the answer so far",
    "self_eval": "the model itself would rather start over",
    "safe_to_stop": "stopping a growing sample loses nothing",
    "looping": "how much a growing sample repeats itself",
    "sample_cost": "expected micro-dollars of a single sample",
    "price": "right answers that a dollar must bring",
    "p_right_state": "right, by the model's states",
    "p_agree": "two samples agree, by the model's states",
}


def signals_in_words(signals: Mapping[str, float]) -> Iterator[str]:
    """Line by line; kinds without a meaning here come last, by name."""
    kinds: dict[str, list[str]] = {}
    for name, value in sorted(signals.items()):
        kind, _, about = name.partition("/")
        kinds.setdefault(kind, []).append(f"{about} {value:.3g}".strip())
    for kind in sorted(kinds, key=lambda one: (list(MEANINGS).index(one) if one in MEANINGS else 99, one)):
        meaning = f"{MEANINGS[kind]} ({kind})" if kind in MEANINGS else kind
        yield f"  {meaning}: {', '.join(kinds[kind])}"
