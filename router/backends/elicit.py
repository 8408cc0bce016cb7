"""How a sample that is still growing is asked for its answer: its text so far, its thought closed, and some words.

The text stands as the beginning of the assistant's turn and the server goes on from there: in chat by
`continue_final_message` (vLLM's name for it), in completions by a longer prompt; both on the prefix that it has in its
cache. With a reasoning parser the server tells thought and text apart, and they are put together again.

When it fails: a server that does not know the parameter refuses, or begins a turn of its own, which cannot be told from
a continuation. A chat template that takes thoughts out of earlier turns cannot be continued inside of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from predictors.observation import Sample
from router.config import GrowingConfig


def thought_is_open(sample: Sample, how: GrowingConfig) -> bool:
    """Whether the sample is still thinking."""
    if sample.reasoning:
        return not sample.text
    if how.think_end in sample.text:
        return False
    return how.opened or how.think_start in sample.text


def written(sample: Sample, how: GrowingConfig) -> str:
    """Thought and text as the model wrote them; an open thought stays open."""
    if not sample.reasoning:
        return sample.text
    closed = f"\n{how.think_end}\n\n" if sample.text else ""
    return f"{how.think_start}\n{sample.reasoning}{closed}{sample.text}"


def asking_words(sample: Sample, how: GrowingConfig) -> str:
    """What closes the thought, if it is open, and asks for the answer in a few words."""
    if thought_is_open(sample, how):
        return f"\n{how.think_end}\n\n{how.elicit.lstrip()}"
    return how.elicit if written(sample, how) else how.elicit.lstrip()


def closing_words(sample: Sample, how: GrowingConfig) -> str:
    """What ends the sample: a thought is closed and the model answers freely; a text is asked for its answer."""
    return f"\n{how.think_end}\n\n" if thought_is_open(sample, how) else asking_words(sample, how)


def continued(body: Mapping[str, Any], begun: str, max_tokens: int) -> dict[str, Any]:
    """The request that goes on from `begun`, without chance. `body`: the sample's own."""
    left = {key: value for key, value in body.items() if key not in _NOT_OF_A_SIDE_CALL}
    common = {"max_tokens": max_tokens, "temperature": 0.0}
    if "prompt" in body:
        return left | common | {"prompt": f"{body['prompt']}{begun}"}
    return (
        left
        | common
        | {
            "messages": [*body["messages"], {"role": "assistant", "content": begun}],
            "continue_final_message": True,
            "add_generation_prompt": False,
        }
    )


# A side call answers in words, greedily, whatever shapes the sample
_NOT_OF_A_SIDE_CALL = frozenset(
    {
        "tools",
        "tool_choice",
        "response_format",
        "thinking_token_budget",
        "logit_bias",
        "stop",
        "top_p",
        "top_k",
    }
    | {"min_p", "min_tokens", "presence_penalty", "frequency_penalty", "repetition_penalty"}
)


def reply_of(sample: Sample) -> str:
    """What a side call said; a reasoning parser takes what goes on behind a closed thought for thought."""
    return sample.text or sample.reasoning
