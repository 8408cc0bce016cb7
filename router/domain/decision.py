"""What is logged: one row per query, and what was reported about it afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from router.domain.usage import Usage


class Mode(Enum):
    """How much of its cleverness the service may use."""

    BYPASS = "bypass"  # the reference plan, nothing is predicted
    OBSERVE = "observe"  # the reference plan; what would have been chosen is logged
    APPLY = "apply"  # the drawn plan


SHADOW_SUFFIX = "-shadow"  # of a shadow run's id, behind that of the decision that was served


class Status(Enum):
    """How a query ended."""

    ANSWERED = "answered"
    ABSTAINED = "abstained"  # no sample had an answer, or min_quality was out of reach and nothing was asked
    BUDGET_CUT = "budget_cut"
    DEADLINE_CUT = "deadline_cut"
    FAILED = "failed"  # no reply was given; `Decision.error` says why
    CANCELLED = "cancelled"  # the caller left


class Keep(Enum):
    """What of the texts is logged."""

    OFF = "off"
    HASH = "hash"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """One sample as it is logged. `prefix_tokens` is None for a finished sample."""

    sample_id: str
    backend: str
    stage: int
    index: int
    prefix_tokens: int | None = None
    finish_reason: str = ""
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    mean_logprob: float | None = None
    first_entropy: float | None = None
    confidence: float | None = None  # `sample_confidence` when it arrived
    latency_s: float | None = None
    answer: str | None = None
    answer_class: int | None = None
    text: str | None = None  # only with Keep.FULL
    ended_s: float | None = None  # when it was finished, seconds after the query came in
    # hidden states: there | late | broken | resting (logprobs took their place); "": not wanted
    states: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The logged row of one query."""

    decision_id: str
    request_id: str
    replica: str
    sequence: int  # of this replica, without gaps unless rows were lost
    created_at: float  # seconds since the epoch
    tenant: str
    session_id: str
    mode: Mode
    policy: str
    bundle: str  # version, or "" without one
    price: float  # shadow price, quality per dollar
    plan: str  # served
    digest: str  # of the served plan: the action
    propensity: float  # of the draw; observe: 1
    probabilities: Mapping[str, float]  # plan name -> probability, all feasible plans
    digests: Mapping[str, str]  # plan name -> digest, all feasible plans
    explored: bool
    usable: bool  # for off-policy evaluation, as an outcome of the drawn plan
    unusable_reason: str = ""
    would_plan: str = ""  # the drawn one, where another was served: one took over, or (observe) it always is
    would_propensity: float = 0.0
    degraded: tuple[str, ...] = ()  # what was not as it should be: no bundle, backend down, …
    signals: Mapping[str, float] = field(default_factory=dict)
    features: bytes = b""  # float32, little endian; b"" where none were computed
    samples: tuple[SampleRecord, ...] = ()
    status: Status = Status.ANSWERED
    stop_reason: str = ""  # enough | exhausted | verified | failed | …, and the rule that said so
    answer: str | None = None
    answer_text: str | None = None
    confidence: float | None = None
    usage: Mapping[str, Usage] = field(default_factory=dict)  # by backend
    cost: float = 0.0  # micro-dollars, not rounded
    costs: Mapping[str, float] = field(default_factory=dict)  # the same by backend
    reserved: int = 0  # micro-dollars, set aside for its worst case
    charged: int = 0  # micro-dollars, by the ledger
    prices_since: str = ""  # the date of the prices that it was reserved and settled at; "": before any date
    latency_s: float = 0.0
    first_text_s: float | None = None  # to the first committed text
    query_hash: str = ""
    query_text: str | None = None  # only with Keep.FULL
    metadata: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    # plan name -> (expected reward in [0, 1] or None, expected micro-dollars), all feasible plans
    forecasts: Mapping[str, tuple[float | None, float]] = field(default_factory=dict)
    phases: Mapping[str, float] = field(default_factory=dict)  # choose | reserve | sample | select -> seconds
    trace_id: str = ""  # 32 hex digits; "": it was not traced
    caller_span: str = ""  # 16 hex digits; "": the caller sent none
    infeasible: Mapping[str, str] = field(default_factory=dict)  # plan name -> why it could not be drawn


@dataclass(frozen=True, slots=True)
class Outcome:
    """What somebody reported about a decision. `key` makes a report idempotent."""

    outcome_id: str
    metric: str
    value: float | bool | str
    kind: str  # number | bool | label | comment | demonstration
    decision_id: str = ""
    request_id: str = ""
    session_id: str = ""
    sample_id: str = ""
    source: str = ""
    weight: float = 1.0
    observed_at: float = 0.0  # seconds since the epoch
    key: str = ""
    supersedes: str = ""  # the key of an earlier report
    tenant: str = ""
