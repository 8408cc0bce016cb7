"""Named features of a returned sample: does this look like a right answer?

From the sample's own text, the arithmetic in it, what the model said about its certainty and the votes so far. A
number that the backend did not give is 0 beside a flag that says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from math import exp, isfinite, log, log1p

from predictors import worked_numbers
from predictors.observation import Sample, Tally

FORM = (
    "finished", "log_prefix_tokens", "has_answer", "answer_is_number", "log_answer_chars", "answer_ends_text",
    "log_chars", "log_words", "log_lines", "log_tokens_out", "tokens_known", "tokens_over_expected", "stopped",
    "cut_by_length", "called_tools", "ends_cleanly", "left_open", "ends_in_digit", "repeated_words",
    "repeated_lines", "log_longest_line", "sentences", "lines_per_query_sentence", "log_chars_over_query", "hedges",
    "algebra", "rounding", "boxed", "digit_share", "query_percent",
)  # fmt: skip
SAID = (
    "logprob_known", "mean_logprob", "path_probability", "path_logprob", "entropy_known", "first_entropy",
    "confidence_known", "confidence",
)  # fmt: skip
VOTES = (
    "voted", "log_votes", "leader_share", "own_share", "with_leader", "lead_over_second", "classes_per_vote",
)  # fmt: skip
NAMES = (*FORM, *worked_numbers.NAMES, *SAID, *VOTES, "position")
HALF = 2000  # characters read from either end of a text
_WORD = re.compile(r"[a-z']+")
_TELLING = {  # word -> what it is counted as
    **dict.fromkeys(
        ("unsure", "unclear", "cannot", "can't", "unable", "maybe", "perhaps", "might", "approximately", "assume",
         "assuming", "assumption", "however", "wait", "sorry", "impossible", "mistake", "doesn't", "note"), 0,
    ),
    **dict.fromkeys(("denote", "let", "let's", "equation", "equations", "solve", "solving", "variable", "x", "y"), 1),
    **dict.fromkeys(("round", "rounded", "rounding", "nearest", "whole", "approximate", "approx"), 2),
}  # fmt: skip
_NO_DIGITS = str.maketrans("", "", "0123456789")
_QUERIES = 128  # whose sentences are counted once for all samples
_MOST = 8  # of a kind of word


def ends_of(text: str) -> str:
    """The first and last `HALF` characters of a text: all that is read of it."""
    return text if len(text) <= 2 * HALF else f"{text[:HALF]}\n{text[-HALF:]}"


def sample_features(
    sample: Sample, query_text: str, tally: Tally, position: int, expected_tokens: float
) -> list[float]:
    """One number per name of `NAMES`, all finite.

    `tally` includes the sample; `position` counts from 0 within the stage; `expected_tokens` is 0 where unknown.
    """
    text, asked, answer = ends_of(sample.text), ends_of(query_text), sample.answer or ""
    return [
        *_form(sample, text, asked, answer, expected_tokens),
        *worked_numbers.worked_numbers(text, asked, answer),
        *_said(sample),
        *_votes(tally.counts, sample.answer_class),
        float(position),
    ]


def _form(sample: Sample, text: str, asked: str, answer: str, expected_tokens: float) -> list[float]:
    spent = sample.tokens_out if sample.prefix_tokens is None else sample.prefix_tokens
    bare = text.rstrip()
    words, telling = bare.split(), [0, 0, 0]
    for word in _WORD.findall(bare.lower()):
        kind = _TELLING.get(word)
        if kind is not None:
            telling[kind] += 1
    lines = [line for line in bare.split("\n") if line.strip()]
    count = max(1, len(words))
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
        float("####" in bare or bare[-1:] in tuple(".!?})*`")),
        float(bare.rfind("<<") > bare.rfind(">>") or bare.count("```") % 2 == 1),
        float(bare[-1:].isdigit()),
        1.0 - len(set(words)) / count,
        float(len(lines) - len(set(lines))),
        log1p(max(map(len, lines), default=0)),
        float(min(4 * _MOST, _sentences(bare))),
        len(lines) / max(1, _sentences_asked(asked)),
        log((len(sample.text) + 1) / (len(asked) + 1)),
        *(float(min(_MOST, count)) for count in telling),
        float("\\boxed" in text or "####" in text),
        1.0 - len(bare.translate(_NO_DIGITS)) / max(1, len(bare)),
        float("%" in asked or "percent" in asked),
    ]


@lru_cache(maxsize=_QUERIES)
def _sentences_asked(text: str) -> int:
    return _sentences(text)


def _sentences(text: str) -> int:
    ends = sum(text.count(end) for end in (". ", ".\n", "? ", "?\n", "! ", "!\n"))
    return ends + text.endswith((".", "?", "!"))


def _said(sample: Sample) -> list[float]:
    logprob, entropy, stated = (
        value if value is not None and isfinite(value) else None
        for value in (sample.mean_logprob, sample.first_entropy, sample.confidence)
    )
    mean = 0.0 if logprob is None else max(-20.0, min(0.0, logprob))
    return [
        float(logprob is not None),
        mean,
        exp(mean) if logprob is not None else 0.0,
        max(-200.0, mean * max(1, sample.tokens_out)),
        float(entropy is not None),
        0.0 if entropy is None else min(20.0, max(0.0, entropy)),
        float(stated is not None),
        0.0 if stated is None else min(1.0, max(0.0, stated)),
    ]


def _votes(counts: Sequence[int], own: int | None) -> list[float]:
    votes = sum(counts)
    if votes == 0:
        return [0.0] * len(VOTES)
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
