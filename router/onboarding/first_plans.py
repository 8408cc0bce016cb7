"""The plans and prompts of a first configuration: every backend alone, a vote of each, a cascade over all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from router.onboarding.findings import Findings
from router.onboarding.prices import Prices

_SIZE = re.compile(r"(?<![\w.])(?:\d+x)?(\d+(?:\.\d+)?)([bm])(?![a-z0-9])", re.IGNORECASE)

# The same texts as `apportion collect` knows by these names, so that what is collected is what is served.
PROMPTS = {
    "direct": '\nReply with "Answer: " and the answer.',
    "step": '\nThink step by step, then finish with "Answer: " and the answer.',
}


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A server, what a token of it costs, and what was found out about it."""

    name: str
    prices: Prices
    found: Findings


@dataclass(frozen=True, slots=True)
class FirstPlan:
    """A plan as router.toml has it: its stages are inline tables, as text."""

    name: str
    why: str
    stages: tuple[str, ...]


def cheapest_first(servers: Sequence[Surveyed]) -> list[Surveyed]:
    """By the size in the model's name where all have one and they differ, else by price, else the fastest first.

    Sizes first, since measured prices are those of an hour in which one server may have been busier than the other.
    """
    sizes = {one.name: parameters(one.found.identity.model) for one in servers}

    def rank(one: Surveyed) -> float:
        if all(sizes.values()) and len(set(sizes.values())) == len(sizes):
            return sizes[one.name]
        if all(other.prices.price_out for other in servers):
            return one.prices.price_out
        return -(one.found.speed.tokens_per_second or 0.0)

    return sorted(servers, key=rank)


def contradiction(servers: Sequence[Surveyed]) -> str:
    """Where a smaller model came out dearer than a larger one, in words; "" else. `servers`: `cheapest_first`."""
    for one, other in pairwise(servers):
        if one.prices.price_out > other.prices.price_out > 0:
            return (
                f"{one.name} ({one.found.identity.model}) came out dearer than {other.name} "
                f"({other.found.identity.model}): measure again when both servers are idle, or set prices by hand"
            )
    return ""


def parameters(model: str) -> float:
    """Of a model, in billions, by its name; 0 where the name does not say.

    >>> parameters("Qwen/Qwen2.5-32B-Instruct"), parameters("SmolLM2-135M"), parameters("gpt")
    (32.0, 0.135, 0.0)
    """
    sizes = [float(size) / (1000 if unit in "mM" else 1) for size, unit in _SIZE.findall(model)]
    return max(sizes, default=0.0)


def first_plans(servers: Sequence[Surveyed]) -> list[FirstPlan]:
    """For servers from the cheapest to the dearest; the last plan of one sample is the dearest alone."""
    names = [one.name for one in servers]
    plans = [FirstPlan(name, f"one answer of {name}", (f"backend = {toml_text(name)}",)) for name in names]
    plans += [
        FirstPlan(
            _free(f"{name}-vote", names),
            "draw until three answers agree, at most eight; the most frequent one is the answer",
            (
                f'backend = {toml_text(name)}, temperature = 0.7, max_samples = 8, width = 4, stop = "agreement"',
            ),
        )
        for name in names
    ]
    if len(servers) > 1:
        taken = [plan.name for plan in plans]
        why = "the cheapest first; the next one only where the answer does not look right"
        plans.append(FirstPlan(_free("cascade", taken), why, tuple(_cascade(servers))))
    return plans


def _cascade(servers: Sequence[Surveyed]) -> Iterator[str]:
    for one in servers[:-1]:
        if one.found.abilities.logprobs:
            yield f'backend = {toml_text(one.name)}, stop = {{ kind = "confident", threshold = 0.8 }}'
        else:  # without log-probabilities a single answer says nothing about itself
            stop = 'stop = { kind = "agreement", needed = 2 }'
            yield f"backend = {toml_text(one.name)}, temperature = 0.7, max_samples = 3, width = 3, {stop}"
    yield f"backend = {toml_text(servers[-1].name)}"


def toml_text(text: str) -> str:
    """A text as TOML writes it: JSON's escapes are TOML's, and DEL must be escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _free(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "-plan"
    return name
