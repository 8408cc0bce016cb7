"""What a caller may send, as types; the OpenAPI document is made from them. `router.checks` has the ranges.

Integers are as wide as on the wire. `null` is the same as not sent.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An object of the request: unknown keys are errors."""


class ImageAsked(Asked, frozen=True, kw_only=True):
    """The image of a content part: an http(s) or data URL; both are passed through."""

    url: str
    detail: str | None = None  # low | high | auto


class PartAsked(Asked, frozen=True, kw_only=True):
    """One entry of `content`; `type` is text, image_url or refusal."""

    type: str
    text: str | None = None
    refusal: str | None = None  # of an assistant that gave no answer
    image_url: ImageAsked | None = None
    cache_control: Any = None  # as of a turn


class FunctionCalled(Asked, frozen=True, kw_only=True):
    """What a model called; `arguments` is JSON text as the model wrote it."""

    name: str
    arguments: str = ""
    parsed_arguments: Any = None  # as of a turn: a client's own note


class CallAsked(Asked, frozen=True, kw_only=True):
    """A call that the assistant made."""

    id: str = ""
    type: str = "function"
    function: FunctionCalled
    index: int | None = None  # of streamed calls; their order is the list's
    provider_specific_fields: Any = None  # as of a turn


class TurnAsked(Asked, frozen=True, kw_only=True):
    """One message."""

    role: str
    content: str | list[PartAsked] | None = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[CallAsked] | None = None
    reasoning: str | None = None  # vLLM's name for an assistant's thoughts …
    reasoning_content: str | None = None  # … and its older one
    refusal: str | None = None  # of an assistant that gave no answer: what it said instead
    # What replies have and clients send back with them; only empty ones mean nothing.
    annotations: list[Any] | None = None
    audio: None = None
    function_call: None = None
    # What clients note beside a message and send back with it; no model reads it.
    parsed: Any = None  # OpenAI's: the content as an object
    provider_specific_fields: Any = None  # LiteLLM's …
    thinking_blocks: Any = None  # … and its copy of `reasoning_content`
    cache_control: Any = None  # where other services may cache; vLLM does by itself


class FunctionAsked(Asked, frozen=True, kw_only=True):
    """A function that the model may call; `parameters` is a JSON schema."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None  # passed on; kept by servers that can


class ToolAsked(Asked, frozen=True, kw_only=True):
    """One entry of `tools`."""

    type: str = "function"
    function: FunctionAsked | None = None
    cache_control: Any = None  # as of a turn


class Named(Asked, frozen=True, kw_only=True):
    """The name of a function."""

    name: str


class ToolForced(Asked, frozen=True, kw_only=True):
    """The tool that must be called."""

    type: str = "function"
    function: Named | None = None


class StreamOptions(Asked, frozen=True, kw_only=True):
    """What a stream has besides text."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None  # padding against listeners: there is none


class ConstraintsAsked(Asked, frozen=True, kw_only=True):
    """`predictors.observation.Constraints`; see there for ranges."""

    max_cost_micros: Int64 | None = None
    max_ttft_s: float | None = None
    min_quality: float | None = None
    max_risk: float | None = None
    allowed_backends: list[str] | None = None
    denied_backends: list[str] | None = None
    plan: str | None = None
    on_unavailable: str | None = None  # degrade | fail


class PreferencesAsked(Asked, frozen=True, kw_only=True):
    """`predictors.observation.Preferences`; see there for ranges."""

    cost_weight: float | None = None
    latency_weight: float | None = None


class RouterAsked(Asked, frozen=True, kw_only=True):
    """What OpenAI has no word for: the rest of the wire's `GenerateRequest`."""

    plan: str | None = None  # as `constraints.plan`
    constraints: ConstraintsAsked | None = None
    preferences: PreferencesAsked | None = None
    mode: str | None = None  # bypass | observe | apply
    explore: str | None = None  # allow | forbid
    log: str | None = None  # off | hash | full
    request_id: str | None = None
    session_id: str | None = None
    tenant: str | None = None
    task_hint: str | None = None
    verifier: str | None = None
    features: dict[str, float] | None = None
    priority: Int32 | None = None
    timeout_s: float | None = None  # above 0: what there is by then is the answer
    return_samples: bool | None = None
    return_reasoning: bool | None = None
    return_probabilities: bool | None = None


class GenerationAsked(msgspec.Struct, frozen=True, kw_only=True):
    """What chats and completions share. `keys.sort_out` has looked at the keys that are not here."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Int32 | None = None
    max_tokens: Int32 | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: Int64 | None = None
    stop: str | list[str] | None = None
    logit_bias: dict[str, float] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    user: str | None = None
    # vLLM's
    top_k: Int32 | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    # ours
    router: RouterAsked | None = None


class ChatAsked(GenerationAsked, frozen=True, kw_only=True):
    """POST /v1/chat/completions."""

    messages: list[TurnAsked]
    tools: list[ToolAsked] | None = None
    tool_choice: str | ToolForced | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    max_completion_tokens: Int32 | None = None
    logprobs: bool | None = None
    top_logprobs: Int32 | None = None  # 0..20
    metadata: dict[str, str] | None = None
    thinking_token_budget: Int32 | None = None  # vLLM's


class CompletionAsked(GenerationAsked, frozen=True, kw_only=True):
    """POST /v1/completions: a prompt without turns."""

    prompt: str | list[str]  # one text
    logprobs: Int32 | None = None  # alternatives per token, 0..20


class FeedbackAsked(Asked, frozen=True, kw_only=True):
    """POST /v1/feedback: how an answer turned out. Exactly one of the ids says which."""

    id: str | None = None  # a reply's id: chatcmpl-… or cmpl-…
    decision_id: str | None = None
    request_id: str | None = None
    session_id: str | None = None
    metric: str
    value: bool | float | str
    kind: str | None = None  # of a text: label | comment | demonstration; default: comment
    sample_id: str | None = None
    source: str | None = None
    weight: float | None = None  # (0, 1000]
    observed_at: float | None = None  # seconds since the epoch
    key: str | None = None  # makes the report idempotent; default: from what it is about and corrects
    supersedes: str | None = None  # the key of a report that this one corrects
    tenant: str | None = None
