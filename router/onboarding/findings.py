"""What was found out about one model server. None: it was not measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers at a url."""

    name: str  # of the backend
    url: str  # without /v1
    model: str
    models: tuple[str, ...]  # everything that it serves
    version: str = ""  # GET /version; "": it does not say
    vllm: bool = False  # its metrics, or the owner of its models, say so
    health: bool = False  # GET /health is answered with 200
    metrics: bool = False  # GET /metrics in Prometheus' format
    tokenize: bool = False  # POST /tokenize counts tokens
    context_tokens: int | None = None  # max_model_len of /v1/models: prompt and output together
    clock_ahead_s: float | None = None  # its clock minus ours, to about a second


@dataclass(frozen=True, slots=True)
class Abilities:
    """What it does when it is asked to."""

    api: str = "chat"  # chat | completions: the door that answers
    logprobs: bool | None = None
    top_logprobs: int = 0  # alternatives per token that it was seen to give; 20 are asked for
    several: bool | None = None  # one request with n = 2 gives two choices
    tools: bool | None = None  # a request with tools is accepted
    tool_called: bool = False  # and the model called the tool
    response_format: bool | None = None  # a JSON schema is accepted and obeyed
    # where the thought is: reasoning_content, or the marker it begins with; "": none seen
    reasoning: str = ""
    hidden_states: bool | None = None  # replies name a file of hidden states
    refused: dict[str, str] | None = None  # what was refused -> the server's words


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast it is, at the load that it had while it was measured."""

    first_token_s: float | None = None  # of a short prompt
    tokens_per_second: float | None = None  # generated, one request in flight, after the first token
    in_flight: int = 0  # requests at once in the next figure
    # generated, all of them together (and others' too, where seen)
    tokens_per_second_busy: float | None = None
    prompt_tokens_per_second: float | None = None  # read, of one prompt that was never seen before
    stream_usage: bool | None = None  # token counts come in streams
    prefix_cache: bool | None = None  # the same prompt again is read from the cache
    prefix_seen_by: str = ""  # usage | metrics | time
    cached_time_share: float | None = None  # time to the first token of that prompt, again / at first; (0, 1]


@dataclass(frozen=True, slots=True)
class Findings:
    """All of it, and what it took."""

    identity: Identity
    abilities: Abilities
    speed: Speed
    notes: tuple[str, ...]  # what could not be measured, and why
    requests: int
    took_s: float
