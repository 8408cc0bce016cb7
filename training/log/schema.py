"""The columns of an exported log: what each holds, its type and its unit.

Costs are micro-dollars, times UTC. A map's keys repeat in every row and take next to nothing on the disk. Columns may
be added at the end; a reader asks for columns by name.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

VERSION = 1

NAME = pa.dictionary(pa.int32(), pa.string())  # one of few texts
MOMENT = pa.timestamp("us", "UTC")


def _by_name(value: Any) -> Any:
    return pa.map_(NAME, value)


SAMPLE = pa.struct(
    [
        ("sample_id", pa.string()),
        ("backend", NAME),
        ("stage", pa.int32()),
        ("index", pa.int32()),
        ("prefix_tokens", pa.int64()),  # null: the finished sample
        ("finish_reason", NAME),
        ("tokens_in", pa.int64()),
        ("tokens_cached", pa.int64()),
        ("tokens_out", pa.int64()),
        ("mean_logprob", pa.float64()),
        ("first_entropy", pa.float64()),
        ("confidence", pa.float64()),
        ("latency_s", pa.float64()),
        ("answer", pa.string()),
        ("answer_class", pa.int32()),
        ("text", pa.string()),
    ]
)

USAGE = pa.struct(
    [
        ("tokens_in", pa.int64()),
        ("tokens_cached", pa.int64()),
        ("tokens_out", pa.int64()),
        ("tokens_reasoning", pa.int64()),
        ("side_calls", pa.int64()),
        ("samples", pa.int64()),
        ("gpu_seconds", pa.float64()),
    ]
)

FORECAST = pa.struct([("quality", pa.float64()), ("cost", pa.float64())])  # in [0, 1] or null; micro-dollars

DECISIONS = pa.schema(
    [
        ("decision_id", pa.string()),
        ("created_at", MOMENT),
        ("tenant", NAME),
        ("request_id", pa.string()),
        ("session_id", pa.string()),
        ("replica", NAME),
        ("sequence", pa.int64()),
        ("n", pa.int64()),  # the row's number in its store, in order of arrival
        ("mode", NAME),  # bypass | observe | apply
        ("policy", NAME),
        ("bundle", NAME),
        ("price", pa.float64()),  # quality per dollar
        ("plan", NAME),  # served
        ("digest", NAME),  # of the served plan: the action
        ("propensity", pa.float64()),
        ("probabilities", _by_name(pa.float64())),  # plan -> probability, all feasible plans
        ("digests", _by_name(NAME)),  # plan -> digest, all feasible plans
        ("explored", pa.bool_()),
        ("usable", pa.bool_()),  # for off-policy evaluation
        ("unusable_reason", NAME),
        ("overridden", pa.bool_()),  # the caller chose the plan
        ("shadow_of", pa.string()),  # the decision that this is a shadow run of; null: a caller's query
        ("replied", pa.bool_()),  # there was a reply
        ("would_plan", NAME),  # what was drawn, where another plan was served; "" else
        ("would_propensity", pa.float64()),
        ("degraded", pa.list_(NAME)),
        ("signals", _by_name(pa.float64())),
        ("features", pa.list_(pa.float32())),
        ("samples", pa.list_(SAMPLE)),
        ("status", NAME),
        ("stop_reason", NAME),
        ("answer", pa.string()),
        ("answer_text", pa.string()),
        ("confidence", pa.float64()),
        ("usage", _by_name(USAGE)),  # by backend
        ("cost", pa.float64()),
        ("costs", _by_name(pa.float64())),  # by backend
        ("reserved", pa.int64()),
        ("charged", pa.int64()),
        ("prices_since", NAME),
        ("latency_s", pa.float64()),
        ("first_text_s", pa.float64()),
        ("query_hash", pa.string()),
        ("query_text", pa.string()),
        ("metadata", pa.map_(pa.string(), pa.string())),
        ("error", pa.string()),
        ("forecasts", _by_name(FORECAST)),  # by plan
    ]
)

OUTCOMES = pa.schema(
    [
        ("outcome_id", pa.string()),
        ("tenant", NAME),
        ("key", pa.string()),  # idempotent within its tenant
        ("supersedes", pa.string()),  # the key that this one corrects; "" none
        ("n", pa.int64()),  # its number in its store, in order of arrival
        ("received_at", MOMENT),
        ("observed_at", MOMENT),  # as its reporter says
        ("subject", NAME),  # decision | request | session: by what it is joined
        ("subject_id", pa.string()),
        ("sample_id", pa.string()),  # "": about the answer
        ("metric", NAME),
        ("kind", NAME),  # number | bool | label | comment | demonstration
        ("number", pa.float64()),  # of a number or a bool
        ("text", pa.string()),  # of the other kinds
        ("source", NAME),
        ("weight", pa.float64()),
    ]
)
