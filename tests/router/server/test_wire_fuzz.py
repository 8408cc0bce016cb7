"""Whatever bytes come, reading them gives a query within all ranges, or `InvalidQuery`; never anything else."""

from __future__ import annotations

import math

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from router.checks.queries import Known
from router.errors import InvalidQuery
from router.v1 import apportion_router_pb2 as pb
from router.wire.advice import read_sample
from router.wire.outcome import read_outcome
from router.wire.query import read_options, read_query

KNOWN = Known(frozenset("p"), frozenset("b"), frozenset("v"), frozenset("g"))

RICH = pb.GenerateRequest(
    request_id="r",
    messages=[
        pb.Message(role=pb.ROLE_SYSTEM, parts=[pb.Part(text="s")]),
        pb.Message(role=pb.ROLE_USER, parts=[pb.Part(text="u"), pb.Part(image_url="http://x")], name="n"),
        pb.Message(
            role=pb.ROLE_ASSISTANT, tool_calls=[pb.ToolCall(id="1", name="f", arguments="{}")], reasoning="h"
        ),
        pb.Message(
            role=pb.ROLE_TOOL, tool_call_id="1", parts=[pb.Part(data=pb.Data(mime="a/b", bytes=b"x"))]
        ),
    ],
    tools=[pb.Tool(name="f", parameters="{}")],
    tool_choice="f",
    response_format='{"type":"text"}',
    sampling=pb.Sampling(
        temperature=1.0,
        top_p=0.5,
        top_k=1,
        min_p=0.1,
        seed=1,
        max_tokens=9,
        stop=["x"],
        logit_bias={"7": 1.0},
    ),
    answers=2,
    verifier="v",
    constraints=pb.Constraints(
        max_cost=5, max_ttft=Duration(seconds=1, nanos=1), min_quality=0.5, allowed_backends=["b"], plan="p"
    ),
    preferences=pb.Preferences(cost_weight=1.0, latency_weight=2.0),
    features={"a": 1.0},
    mode=pb.MODE_APPLY,
    explore=pb.EXPLORE_FORBID,
    log=pb.LOG_HASH,
    priority=5,
    metadata={"k": "v"},
    extra='{"g":1}',
).SerializeToString(deterministic=True)

OUTCOME = pb.ReportOutcomeRequest(
    decision_id="d",
    metric="m",
    number=0.5,
    source="s",
    weight=2.0,
    observed_at=Timestamp(seconds=5, nanos=7),
    key="k",
).SerializeToString(deterministic=True)


SAMPLE = pb.AdviseRequest(
    sample=pb.AdvisedSample(
        sample_id="a",
        backend="b",
        parts=[pb.Part(text="4")],
        tool_calls=[pb.ToolCall(id="1", name="f", arguments="{}")],
        finish_reason="stop",
        finished=True,
        usage=pb.UsageItem(out=3, cached_in=0, reasoning=1, samples=1),
        mean_logprob=-0.5,
        first_entropy=0.5,
        confidence=0.5,
        hidden=[0.5, -0.5],
        latency=Duration(seconds=1, nanos=1),
        reasoning="h",
    )
).SerializeToString(deterministic=True)


def damaged(raw: bytes) -> st.SearchStrategy[bytes]:
    """`raw` with up to eight bytes changed."""
    edit = st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255))

    def apply(edits: list[tuple[int, int]]) -> bytes:
        changed = bytearray(raw)
        for place, value in edits:
            changed[place] = value
        return bytes(changed)

    return st.lists(edit, min_size=1, max_size=8).map(apply)


@given(damaged(RICH))
@settings(max_examples=600, derandomize=True, deadline=None)
def test_a_damaged_request_is_a_query_in_range_or_invalid(raw: bytes):
    try:
        request = pb.GenerateRequest.FromString(raw)
        query = read_query(request, KNOWN, lambda: "new")
        read_options(request, stream=True, time_left_s=None)
    except (DecodeError, InvalidQuery):
        return
    assert query.messages and query.request_id and query.tenant
    assert 1 <= query.answers <= 16
    assert query.sampling.temperature is None or 0 <= query.sampling.temperature <= 2
    assert query.constraints.max_cost_micros is None or query.constraints.max_cost_micros >= 0
    assert all(math.isfinite(value) for value in query.features.values())


@given(damaged(OUTCOME))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_a_damaged_report_is_an_outcome_in_range_or_invalid(raw: bytes):
    try:
        outcome = read_outcome(pb.ReportOutcomeRequest.FromString(raw), lambda: "new", 1.0)
    except (DecodeError, InvalidQuery):
        return
    assert outcome.key and outcome.metric
    assert 0 < outcome.weight <= 1000
    assert isinstance(outcome.value, bool | str) or math.isfinite(outcome.value)


@given(damaged(SAMPLE))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_a_damaged_sample_is_one_in_range_or_invalid(raw: bytes):
    try:
        brought = read_sample(pb.AdviseRequest.FromString(raw))
    except (DecodeError, InvalidQuery):
        return
    sample, usage = brought.sample, brought.usage
    assert sample.sample_id
    assert sample.confidence is None or 0 <= sample.confidence <= 1
    assert sample.mean_logprob is None or -math.inf < sample.mean_logprob <= 0
    assert sample.latency_s is None or sample.latency_s >= 0
    assert sample.hidden is None or all(math.isfinite(value) for value in sample.hidden)
    assert usage is None or 0 <= usage.tokens_cached <= usage.tokens_in
    assert usage is None or min(usage.tokens_out, usage.tokens_reasoning, usage.samples) >= 0


def test_the_undamaged_request_is_a_query():
    """Else the test above would see nothing but refusals."""
    query = read_query(pb.GenerateRequest.FromString(RICH), KNOWN, lambda: "new")
    assert (query.request_id, query.verifier, query.constraints.plan) == ("r", "v", "p")
    assert read_outcome(pb.ReportOutcomeRequest.FromString(OUTCOME), lambda: "new", 1.0).observed_at > 5
    assert read_sample(pb.AdviseRequest.FromString(SAMPLE)).sample.finished
