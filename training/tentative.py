"""What a sample that is still growing would answer now: its thought is closed and the answer asked for.

The sample so far stands as the beginning of the assistant's turn, followed by words that want an answer; the server
goes on from there (`continue_final_message`, vLLM's name for it), on the prefix that it has in its cache, at
temperature 0.

When it fails: a server that does not know the parameter refuses, or begins a turn of its own, which cannot be told
from a continuation. A chat template that takes thoughts out of earlier turns cannot be continued inside of one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from router.answers import extract
from router.recordings.cost import SNAPSHOT_TOKENS
from training.openai_reply import Reply, mean_logprob, token_ends
from training.prompts import elicitation_of

if TYPE_CHECKING:
    from training.openai_samples import Server

THINK, THINK_END = "<think>", "</think>"


def check_point_rows(server: Server, reply: Reply) -> list[dict[str, Any]] | None:
    """What the journal keeps of a finished sample's check-points; None where its tokens do not spell its text."""
    ends = token_ends(reply.text, reply.tokens)
    if ends is None:
        return None
    return [
        {
            "prefix_tokens": place,
            "end": ends[place - 1] if place else 0,
            "mean_logprob": mean_logprob(reply.tokens[:place]),
            "at_s": reply.tokens[place - 1].at_s if place else None,
        }
        for place in server.check_points.before(len(ends))
    ]


def elicitation(server: Server, text: str, end: int) -> str:
    """The words behind the first `end` characters of a sample that ask for its answer.

    `text` is the whole sample: where it closes a thought later on, the thought is open also without its mark.
    """
    asked, before = elicitation_of(server.prompt), text[:end]
    if THINK_END not in before and (THINK in before or THINK_END in text):
        return f"\n{THINK_END}\n\n{asked.lstrip()}"
    return asked if before else asked.lstrip()


def tentative_body(server: Server, query: str, seed: int, begun: str) -> dict[str, Any]:
    """The request that goes on from `begun`: a sample so far and the words that ask for its answer."""
    body = server.body(query, seed)
    return body | {
        "messages": [*body["messages"], {"role": "assistant", "content": begun}],
        "max_tokens": SNAPSHOT_TOKENS,
        "temperature": 0.0,
        "logprobs": True,
        "continue_final_message": True,
        "add_generation_prompt": False,
    }


@dataclass(frozen=True, slots=True)
class Tentative:
    """The answer of a growing sample."""

    said: str  # one line, from the words that asked for it on
    answer: str | None
    confidence: float | None  # probability of its tokens, [0, 1]; None: no log-probabilities


def tentative_of(asked: str, reply: Reply) -> Tentative:
    """Read the first line of a reply that goes on from the words `asked`."""
    space = len(reply.text) - len(reply.text.lstrip())
    line = reply.text[space:].partition("\n")[0]
    said = f"{asked.rpartition(THINK_END)[2].strip()} {line}".strip()
    answer = extract(said, "auto") if line.strip() else None
    if not answer:
        return Tentative(said, None, None)
    start = reply.text.find(answer, space)
    end = space + len(line) if start < 0 else start + len(answer)  # an answer in other words than the text's
    return Tentative(said, answer, _chance(reply, end))


def _chance(reply: Reply, end: int) -> float | None:
    """Probability of the tokens that begin before `end`."""
    ends = token_ends(reply.text, reply.tokens)
    if not ends:
        return None
    begins = (0, *ends)
    used = [token.logprob for begin, token in zip(begins, reply.tokens, strict=False) if begin < end]
    return math.exp(min(0.0, sum(used)))


def snapshot_row(sample: Mapping[str, Any], point: Mapping[str, Any], now: Tentative) -> dict[str, Any]:
    """The journal's row of one check-point of the sample in row `sample`."""
    return {
        "query_id": sample["query_id"],
        "backend": sample["backend"],
        "sample_idx": sample["sample_idx"],
        "mark": sample["mark"],
        "prefix_tokens": point["prefix_tokens"],
        "text": sample["text"][: point["end"]],
        "tentative": now.said,
        "answer": now.answer,
        "confidence": now.confidence,
        "tokens_in": sample["tokens_in"],
        "first_token_s": sample["first_token_s"] if point["prefix_tokens"] else None,
        "latency_s": point["at_s"],
        "mean_logprob": point["mean_logprob"],
        "first_entropy": sample["first_entropy"] if point["prefix_tokens"] else None,
        "params": sample["params"],
    }
