"""Named features of a returned sample: does this look like a right answer?

From the sample's own text, what the model said about its certainty, the votes so far and what was expected of this
backend on this query. A number that the backend did not give is 0 beside a flag that says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import exp, isfinite, log, log1p

from predictors.observation import Sample, Tally

NAMES = (
    "finished", "log_prefix_tokens", "has_answer", "answer_is_number", "log_answer_chars", "answer_ends_text",
    "log_chars", "log_words", "log_lines", "log_tokens_out", "tokens_known", "tokens_over_expected", "stopped",
    "cut_by_length", "called_tools", "repeated_words", "hedges", "boxed", "digit_share", "equations", "wrong_equations",
    "query_numbers_used", "new_numbers", "log_last_number", "whole_last_number", "logprob_known", "mean_logprob",
    "path_probability", "entropy_known", "first_entropy", "confidence_known", "confidence", "voted", "log_votes",
    "leader_share", "own_share", "with_leader", "lead_over_second", "classes_per_vote", "position", "prior",
    "prior_logit",
)  # fmt: skip
_HEAD, _TAIL = 1000, 3000  # characters read from either end of a text
_HEDGE = re.compile(
    r"\b(?:not sure|unclear|cannot|can't|unable|maybe|perhaps|might|i think|approximately|assum\w+|however|wait|sorry|"
    r"impossible|doesn't make sense|mistake)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
_EQUATION = re.compile(r"((?:\$?\d[\d,.]*%?\s*[-+*/x×÷]\s*)+\$?\d[\d,.]*)\s*=\s*\$?(-?\d[\d,]*(?:\.\d+)?)")
_TERM = re.compile(r"\d[\d,]*(?:\.\d+)?|[-+*/x×÷]")
_MAX_FOUND = 48


def sample_features(
    sample: Sample, query_text: str, tally: Tally, position: int, prior: float, expected_tokens: float
) -> list[float]:
    """One number per name of `NAMES`, all finite.

    `tally` includes the sample; `position` counts from 0 within the stage; `prior` is p_correct of the sample's
    backend for this query, in (0, 1); `expected_tokens` is 0 where unknown.
    """
    text = (
        sample.text if len(sample.text) <= _HEAD + _TAIL else f"{sample.text[:_HEAD]}\n{sample.text[-_TAIL:]}"
    )
    words = text.split()
    numbers = _NUMBER.findall(text)[-_MAX_FOUND:]
    asked = set(_NUMBER.findall(query_text[:_TAIL])[:_MAX_FOUND])
    said = set(numbers)
    equations, wrong = _arithmetic(text)
    answer = sample.answer or ""
    spent = sample.tokens_out if sample.prefix_tokens is None else sample.prefix_tokens
    logprob, entropy, stated = sample.mean_logprob, sample.first_entropy, sample.confidence
    last = _value(numbers[-1]) if numbers else 0.0
    prior = min(max(prior, 1e-3), 1 - 1e-3)
    return [
        float(sample.finished),
        log1p(max(0, sample.prefix_tokens or 0)),
        float(sample.answer is not None),
        float(answer.replace(".", "").replace(",", "").lstrip("-").isdigit()),
        log1p(len(answer)),
        float(bool(answer) and text.rstrip(" .\n$*}").endswith(answer)),
        log1p(len(sample.text)),
        log1p(len(words)),
        log1p(text.count("\n")),
        log1p(max(0, spent)),
        float(spent > 0),
        log(max(1, spent) / expected_tokens) if spent > 0 and expected_tokens > 1 else 0.0,
        float(sample.finish_reason == "stop"),
        float(sample.finish_reason == "length"),
        float(bool(sample.tool_calls)),
        1.0 - len(set(words)) / max(1, len(words)),
        float(min(8, len(_HEDGE.findall(text)))),
        float("\\boxed" in text or "####" in text),
        sum(map(len, numbers)) / max(1, len(text)),
        float(equations),
        float(wrong),
        len(asked & said) / max(1, len(asked)),
        len(said - asked) / max(1, len(said)),
        log1p(last),
        float(last == int(last)),
        float(logprob is not None),
        max(-20.0, logprob) if logprob is not None and isfinite(logprob) else 0.0,
        exp(max(-20.0, min(0.0, logprob))) if logprob is not None and isfinite(logprob) else 0.0,
        float(entropy is not None),
        min(20.0, entropy) if entropy is not None and isfinite(entropy) else 0.0,
        float(stated is not None),
        stated if stated is not None and isfinite(stated) else 0.0,
        *_votes(tally.counts, sample.answer_class),
        float(position),
        prior,
        log(prior / (1 - prior)),
    ]


def _votes(counts: Sequence[int], own: int | None) -> list[float]:
    votes = sum(counts)
    if votes == 0:
        return [0.0] * 7
    ranked = sorted(counts, reverse=True)
    mine = counts[own] if own is not None and own < len(counts) else 0
    second = ranked[1] if len(ranked) > 1 else 0
    return [
        float(own is not None),
        log1p(votes),
        ranked[0] / votes,
        mine / votes,
        float(mine == ranked[0]),
        (ranked[0] - second) / votes,
        len(counts) / votes,
    ]


def _arithmetic(text: str) -> tuple[int, int]:
    """How many chains like `3 * 4 + 1 = 13` a text states, and how many of them do not add up."""
    found = _EQUATION.findall(text)[:_MAX_FOUND]
    return len(found), sum(not _adds_up(left, right) for left, right in found)


def _adds_up(left: str, right: str) -> bool:
    value, said = _evaluate(_TERM.findall(left)), _value(right)
    if "%" in left and value is not None:
        return min(abs(value - said), abs(value / 100 - said)) <= 0.006 * max(1.0, abs(said))
    return value is None or abs(value - said) <= 0.006 * max(1.0, abs(said))  # results are often rounded


def _evaluate(terms: list[str]) -> float | None:
    """The value of numbers and operators in turn, products first; None where it is no such chain."""
    if len(terms) % 2 == 0:
        return None
    total, product, sign = 0.0, _value(terms[0]), 1.0
    for operator, term in zip(terms[1::2], terms[2::2], strict=True):
        number = _value(term)
        if operator in "*x×":
            product *= number
        elif operator in "/÷":
            if number == 0:
                return None
            product /= number
        else:
            total, product, sign = total + sign * product, number, -1.0 if operator == "-" else 1.0
    return total + sign * product


def _value(number: str) -> float:
    plain = number.replace(",", "").rstrip(".")
    try:
        value = float(plain)
    except ValueError:  # 1.2.3 is no number
        return 0.0
    return value if abs(value) < 1e15 else 1e15
