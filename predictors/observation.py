"""What may be looked at when deciding: the query and all samples so far.

`Observation` is the only argument of predictors, policies, stopping rules and selectors, and it is what the
decision log keeps. Nothing here knows the wire, a backend or a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

Signals = Mapping[str, float]
"""Named numbers predicted from an observation: `p_correct/small`, `tokens/large`, `sample_confidence`, …"""


class PartKind(Enum):
    """What a message part carries."""

    TEXT = "text"
    IMAGE_URL = "image_url"
    DATA = "data"


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a message: text, the URL of an image, or bytes with their MIME type."""

    kind: PartKind = PartKind.TEXT
    text: str = ""
    image_url: str = ""
    data: bytes = b""
    mime: str = ""
    detail: str = ""  # of an image: how closely to look (low, high, auto), passed on as it is


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model wants made; `arguments` is JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call; `parameters` is a JSON schema as text."""

    name: str
    description: str = ""
    parameters: str = ""
    strict: bool | None = None  # arguments keep to the schema; passed on, kept by servers that can


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: str  # system | developer | user | assistant | tool
    parts: tuple[Part, ...] = ()
    name: str = ""
    tool_call_id: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""

    @property
    def text(self) -> str:
        """The text parts, joined."""
        if len(self.parts) == 1:
            return self.parts[0].text
        return "".join(part.text for part in self.parts if part.kind is PartKind.TEXT)


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters; None means "as the stage or the backend has it"."""

    temperature: float | None = None  # >= 0
    top_p: float | None = None  # (0, 1]
    top_k: int | None = None  # >= 1
    min_p: float | None = None  # [0, 1]
    seed: int | None = None
    max_tokens: int | None = None  # >= 1, per sample
    thinking_tokens: int | None = None  # >= 0, per sample
    stop: tuple[str, ...] = ()
    logit_bias: Mapping[str, float] = field(default_factory=dict)  # token id as text -> [-100, 100]
    presence_penalty: float | None = None  # [-2, 2]
    frequency_penalty: float | None = None  # [-2, 2]
    repetition_penalty: float | None = None  # > 0
    logprobs: int | None = None  # how many alternatives per token, 0..20


class OnUnavailable(Enum):
    """What to do when the best plans cannot be served."""

    DEGRADE = "degrade"  # serve what is left, and say so
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Constraints:
    """What the caller will not accept; a plan outside of these is removed before the draw."""

    max_cost_micros: int | None = None  # micro-dollars, >= 0
    max_ttft_s: float | None = None  # seconds to the first committed text, > 0
    min_quality: float | None = None  # [0, 1]
    max_risk: float | None = None  # [0, 1]
    allowed_backends: tuple[str, ...] = ()  # empty: all
    denied_backends: tuple[str, ...] = ()
    plan: str = ""  # serve exactly this plan
    on_unavailable: OnUnavailable = OnUnavailable.DEGRADE


@dataclass(frozen=True, slots=True)
class Preferences:
    """How much the caller minds cost and latency, relative to the service's own weights (1 = the same)."""

    cost_weight: float = 1.0  # >= 0
    latency_weight: float = 1.0  # >= 0


@dataclass(frozen=True, slots=True)
class Query:
    """One request, checked: everything in it is within the ranges that the wire states."""

    request_id: str
    messages: tuple[Message, ...]
    tenant: str = ""
    session_id: str = ""
    tools: tuple[Tool, ...] = ()
    tool_choice: str = ""  # "", auto, none, required, or a tool's name
    response_format: str = ""  # JSON text, or ""
    sampling: Sampling = Sampling()
    answers: int = 1
    task_hint: str = ""
    verifier: str = ""
    constraints: Constraints = Constraints()
    preferences: Preferences = Preferences()
    features: Mapping[str, float] = field(default_factory=dict)  # sent by the caller
    priority: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)  # allow-listed keys for the backend
    parallel_tool_calls: bool | None = None  # False: one call at most in an answer
    token_logprobs: bool = False  # samples keep the log-probabilities of their tokens

    @property
    def text(self) -> str:
        """The last user turn: what features, graders and recordings look at."""
        for message in reversed(self.messages):
            if message.role == "user":
                return message.text
        return self.messages[-1].text if self.messages else ""


class Piece(NamedTuple):
    """One vector of those that a sample's `hidden` is made of, one after the other."""

    part: str  # prompt_last, prompt_mean, answer_last, answer_mean, mark:<position>, value_prompt_last, …
    layer: int  # blocks passed; -1: the last, whichever number it has
    width: int


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of a text and its log-probability, with the likeliest tokens at its place."""

    token: str
    logprob: float  # nats, <= 0
    utf8: tuple[int, ...] | None = None  # of a token that is no whole text
    top: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One generation, finished or still growing. The same `sample_id` with a longer text replaces the shorter."""

    sample_id: str
    backend: str
    text: str = ""
    stage: int = 0
    index: int = 0  # the backend's own number of this draw (`sample_idx` of a recording)
    finished: bool = True
    finish_reason: str = ""  # stop | length | tool_calls | cancelled | …
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    tokens_in: int = 0
    tokens_cached: int = 0  # of tokens_in, those read from the prefix cache
    tokens_out: int = 0  # reasoning included
    tokens_reasoning: int = 0  # of tokens_out
    usage_estimated: bool = False  # the backend did not report its tokens: they were counted and guessed
    mean_logprob: float | None = None  # nats per token, <= 0
    first_entropy: float | None = None  # nats over the top alternatives of the first token, >= 0
    token_logprobs: tuple[TokenLogprob, ...] = ()  # of the text's tokens, where the query asks for them
    confidence: float | None = None  # stated by the model or the recording, [0, 1]
    hidden: Any = field(default=None, compare=False)  # reduced vector, shape (width,), or None
    pieces: tuple[Piece, ...] = ()  # what `hidden` is made of; (): not said
    states: str = ""  # there | late | broken | resting: how `hidden` was had; "": nobody asked for it
    # of a growing sample: tokens spent so far; of one that was closed: until then
    prefix_tokens: int | None = None
    first_token_s: float | None = None
    latency_s: float | None = None
    answer: str | None = None  # extracted by the allocator; None: none found or not looked for
    # given by the allocator; None: does not vote; while it grows: among the looks
    answer_class: int | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """Answer classes of one stage's finished samples and their counts; class `i` has `counts[i]` votes."""

    counts: tuple[int, ...] = ()
    answers: tuple[str, ...] = ()  # the first answer seen of each class
    drawn: int = 0  # finished samples, also those without a vote

    @property
    def votes(self) -> int:
        """Samples that voted."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Observation:
    """The query and all samples so far, seen from the stage that is running."""

    query: Query
    samples: tuple[Sample, ...] = ()  # of all stages, in order of arrival
    stage: int = 0
    tally: Tally = Tally()  # of the current stage
    max_samples: int = 1  # of the current stage
    elapsed_s: float = 0.0  # since the query came in
    # every look at growing samples of the stage, in order, without their texts
    looks: tuple[Sample, ...] = ()
    time_left_s: float | None = None  # until the caller's deadline; None: there is none

    @property
    def stage_samples(self) -> tuple[Sample, ...]:
        """The samples of the current stage."""
        if self.stage == 0:
            return self.samples
        return tuple(sample for sample in self.samples if sample.stage == self.stage)

    def trace(self, sample_id: str) -> tuple[Sample, ...]:
        """The looks at one sample of the stage, in order; classes of tentative answers count among themselves."""
        return tuple(look for look in self.looks if look.sample_id == sample_id)

    @property
    def latest(self) -> Sample | None:
        """The sample that arrived last, or None before the first."""
        return self.samples[-1] if self.samples else None
