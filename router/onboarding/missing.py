"""What it costs where a server cannot do something, in words for the one who runs it."""

from __future__ import annotations

from router.onboarding.findings import Findings

COSTS = {
    "logprobs": "first-token confidence is missing: cascades and votes can use agreement only",
    "top_logprobs": "fewer than 5 alternatives per token: the entropy of the first token is cut off",
    "several": "several samples are several requests, and each sends the whole prompt again",
    "stream_usage": "tokens are counted by pieces and prompts by bytes / 4: costs are estimates",
    "prefix_cache": "every further sample and side call pays for the whole prompt",
    "context_tokens": "longer queries than it takes are found out by its refusal; set context_tokens by hand",
    "tools": "queries with tools never go here",
    "response_format": "queries with a response format never go here",
    "hidden_states": "no features from hidden states: quality is predicted from texts and log-probabilities",
    "tokenize": "prompts cannot be counted before they are sent",
    "metrics": "load, cache hits and freed work cannot be seen from outside",
}


def missing(found: Findings) -> dict[str, str]:
    """Capability -> what its absence costs; only what was measured and is not there."""
    can, speed, who = found.abilities, found.speed, found.identity
    has = {
        "logprobs": can.logprobs,
        "top_logprobs": None if not can.logprobs else can.top_logprobs >= 5,
        "several": can.several,
        "stream_usage": speed.stream_usage,
        "prefix_cache": speed.prefix_cache,
        "context_tokens": who.context_tokens is not None,
        "tools": can.tools,
        "response_format": can.response_format,
        "hidden_states": can.hidden_states,
        "tokenize": who.tokenize,
        "metrics": who.metrics,
    }
    return {name: COSTS[name] for name, there in has.items() if there is False}
