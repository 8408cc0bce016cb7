"""What a client gets back: replies, stream events, estimates. Frozen; no generated code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from predictors.observation import ToolCall
from router.domain.decision import Mode, Status
from router.domain.usage import told_dollars
from router.domain.verdict import Action


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens and money."""

    tokens_in: int = 0
    tokens_cached: int = 0  # of tokens_in
    tokens_out: int = 0  # reasoning included, also of samples that were cut
    tokens_reasoning: int = 0  # of tokens_out
    side_calls: int = 0
    samples: int = 0  # started
    cost_micros: int = 0  # micro-dollars, rounded up
    cost_exact: float = 0.0  # micro-dollars, not rounded

    @property
    def dollars(self) -> float:
        """The cost in dollars."""
        return told_dollars(self.cost_exact)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = ""
    confidence: float | None = None  # P(right), [0, 1]; None: not known
    reasoning: str = ""
    sample_id: str = ""
    extracted: str | None = None  # the short answer that voted


@dataclass(frozen=True, slots=True)
class SampleSeen:
    """One sample of the query."""

    sample_id: str
    backend: str
    stage: int
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = ""
    answer: str | None = None
    answer_class: int | None = None
    confidence: float | None = None
    usage: Used = Used()
    latency_s: float = 0.0
    mean_logprob: float | None = None
    first_entropy: float | None = None
    finished: bool = True
    reasoning: str = ""
    index: int = 0
    prefix_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class DecisionInfo:
    """What was decided, and why."""

    plan: str
    propensity: float
    policy: str
    mode: Mode
    digest: str = ""
    bundle: str = ""
    price: float = 0.0  # shadow price, quality per dollar
    explored: bool = False
    probabilities: Mapping[str, float] = field(default_factory=dict)  # empty unless asked for
    signals: Mapping[str, float] = field(default_factory=dict)
    degraded: tuple[str, ...] = ()
    stop_reason: str = ""
    latency_s: float = 0.0
    first_text_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """The end of one query."""

    decision_id: str
    request_id: str
    status: Status
    answers: tuple[Answer, ...]  # best first
    usage: Used
    usage_by_backend: Mapping[str, Used]
    decision: DecisionInfo
    samples: tuple[SampleSeen, ...] = ()  # only with return_samples

    @property
    def text(self) -> str:
        """The best answer's text; "" without an answer."""
        return self.answers[0].text if self.answers else ""

    @property
    def confidence(self) -> float | None:
        """P(the best answer is right), where it is known."""
        return self.answers[0].confidence if self.answers else None


@dataclass(frozen=True, slots=True)
class Started:
    """The plan is drawn."""

    decision_id: str
    request_id: str
    plan: str
    streams: bool  # text comes token by token


@dataclass(frozen=True, slots=True)
class SampleDelta:
    """A piece of a growing sample; not the answer."""

    sample_id: str
    text: str
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class SampleEnded:
    """A sample is complete."""

    sample: SampleSeen


@dataclass(frozen=True, slots=True)
class Verdict:
    """The stage's stopping rule spoke."""

    stage: int
    action: Action
    reason: str
    pruned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerDelta:
    """Committed text: part of answer number `answer`, never taken back."""

    text: str
    answer: int = 0
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """The end."""

    reply: Reply


StreamEvent = Started | SampleDelta | SampleEnded | Verdict | AnswerDelta | Done


@dataclass(frozen=True, slots=True)
class PlanForecast:
    """What one plan would give."""

    plan: str
    quality: float | None  # expected reward in [0, 1]; None: not known
    cost_micros: float  # expected
    worst_cost_micros: int
    latency_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class StageInfo:
    """One stage of a plan, in words."""

    backend: str
    max_samples: int
    width: int
    stop: str
    select: str
    prompt: str = ""
    verifier: str = ""
    gate: str = ""
    pool: bool = False


@dataclass(frozen=True, slots=True)
class PlanInfo:
    """A plan of the menu."""

    name: str
    digest: str
    stages: tuple[StageInfo, ...]
    streams: bool
    reference: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """The first decision alone."""

    decision_id: str
    request_id: str
    decision: DecisionInfo
    plan: PlanInfo
    forecasts: tuple[PlanForecast, ...]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A dry run."""

    forecasts: tuple[PlanForecast, ...]
    likeliest_plan: str
    expected_cost_micros: float
    worst_cost_micros: int
    infeasible: Mapping[str, str]  # plan -> why


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a decision. Exactly one of the three ids says which."""

    metric: str  # e.g. correct, thumbs, resolved
    value: float | bool | str
    decision_id: str = ""
    request_id: str = ""
    session_id: str = ""
    # number | bool | label | comment | demonstration; default: by the value's type, text: label
    kind: str = ""
    sample_id: str = ""
    source: str = ""
    weight: float | None = None  # (0, 1000]; default 1
    observed_at: float | None = None  # seconds since the epoch; default: now
    key: str = ""  # idempotency; default: one made of subject, metric and source
    supersedes: str = ""  # the key of an earlier report that this corrects
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Reported:
    """A report is committed."""

    key: str
    duplicate: bool  # the key was known; nothing changed


@dataclass(frozen=True, slots=True)
class ReportedMany:
    """Reports are committed, but for the refused."""

    committed: int
    duplicates: int
    refused: int
    refusals: tuple[tuple[int, str, str], ...]  # (position, field, problem), the first 100
