"""Logged rows as OpenTelemetry spans, by the semantic conventions for generative AI: one per query, one per sample.

    chat PLAN          SERVER, under the caller's span   the plan, how it was chosen, what it used, how it ended
      chat MODEL       CLIENT, one per finished sample   its model, tokens, finish reason, time

A request to a model server carries the `traceparent` of its (first) sample, so that the server's own spans hang below
it. Texts are never in spans, nor are error messages, which may quote them: their reason is. Samples that were cut
before they ended have no span.

This file alone knows OpenTelemetry; the extra `otel` installs it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status as SpanStatus
from opentelemetry.trace.status import StatusCode

from router.domain.decision import Decision, SampleRecord, Status
from router.domain.query_trace import Trace
from router.domain.usage import Usage

TIMEOUT_S = 5.0  # of one batch, its repetitions included
SAMPLED = TraceFlags(TraceFlags.SAMPLED)
Value = str | bool | int | float | Sequence[str]


@dataclass(frozen=True, slots=True)
class Model:
    """What a backend is called in spans."""

    name: str  # the model
    provider: str  # the kind of backend


class OTLP:
    """Sends spans to an OpenTelemetry collector over gRPC. `Collector` of `traces`."""

    def __init__(
        self,
        models: Mapping[str, Model],
        version: str,
        replica: str,
        exporter: SpanExporter,
        endpoint: str = "",  # for messages
    ) -> None:
        self._models, self._exporter, self._endpoint = models, exporter, endpoint
        self._scope = InstrumentationScope("apportion", version)
        self._resource = Resource(
            {"service.name": "apportion", "service.version": version, "service.instance.id": replica}
        )

    @classmethod
    def to(cls, endpoint: str, models: Mapping[str, Model], version: str, replica: str) -> OTLP:
        """Connects lazily; `endpoint` is http(s)://HOST:PORT."""
        insecure = not endpoint.startswith("https:")
        # it logs every batch that fails, in a form of its own; `Traces` says once that, and once that no more
        logging.getLogger("opentelemetry.exporter.otlp.proto.grpc.exporter").disabled = True
        exporter = OTLPSpanExporter(endpoint, insecure=insecure, timeout=TIMEOUT_S)
        return cls(models, version, replica, exporter, endpoint)

    def send(self, rows: Sequence[Decision]) -> tuple[int, str]:
        """See `Collector`."""
        spans = [span for row in rows for span in self.spans(row)]
        taken = self._exporter.export(spans) is SpanExportResult.SUCCESS
        return len(spans), "" if taken else f"the collector {self._endpoint} does not take them"

    def close(self) -> None:
        """See `Collector`."""
        self._exporter.shutdown()

    def spans(self, row: Decision) -> Iterator[ReadableSpan]:
        """Those of one query."""
        trace = Trace(row.trace_id, row.caller_span, row.decision_id)
        parent = _context(row.trace_id, row.caller_span, remote=True) if row.caller_span else None
        failed = row.status is Status.FAILED
        reason = row.error.partition(":")[0]
        query = _context(row.trace_id, trace.span_id())
        yield ReadableSpan(
            f"chat {row.plan}",
            context=query,
            parent=parent,
            resource=self._resource,
            attributes=query_attributes(row) | ({"error.type": reason} if failed else {}),
            kind=SpanKind.SERVER,
            status=SpanStatus(StatusCode.ERROR, reason) if failed else SpanStatus(),
            start_time=_ns(row.created_at),
            end_time=_ns(row.created_at + row.latency_s),
            instrumentation_scope=self._scope,
        )
        for sample in row.samples:
            model = self._models.get(sample.backend, Model(sample.backend, ""))
            ended_s = row.latency_s if sample.ended_s is None else sample.ended_s
            began_s = max(0.0, ended_s - (sample.latency_s or 0.0))
            yield ReadableSpan(
                f"chat {model.name}",
                context=_context(row.trace_id, trace.span_id(sample.sample_id)),
                parent=query,
                resource=self._resource,
                attributes=sample_attributes(sample, model),
                kind=SpanKind.CLIENT,
                start_time=_ns(row.created_at + began_s),
                end_time=_ns(row.created_at + ended_s),
                instrumentation_scope=self._scope,
            )


def query_attributes(row: Decision) -> dict[str, Value]:
    """What the query's span says."""
    used = sum(row.usage.values(), Usage())
    found: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "apportion",
        "gen_ai.response.model": row.plan,
        "gen_ai.response.id": row.decision_id,
        "gen_ai.usage.input_tokens": used.tokens_in,
        "gen_ai.usage.output_tokens": used.tokens_out,
        "apportion.decision_id": row.decision_id,
        "apportion.tenant": row.tenant,
        "apportion.plan": row.plan,
        "apportion.policy": row.policy,
        "apportion.propensity": row.propensity,
        "apportion.mode": row.mode.value,
        "apportion.bundle": row.bundle,
        "apportion.price": row.price,
        "apportion.status": row.status.value,
        "apportion.stop_reason": row.stop_reason,
        "apportion.samples": len(row.samples),
        "apportion.cost_micros": row.cost,
        "apportion.degraded": bool(row.degraded),
    }
    if row.session_id:
        found["gen_ai.conversation.id"] = row.session_id
    if row.confidence is not None:
        found["apportion.confidence"] = row.confidence
    if row.first_text_s is not None:
        found["apportion.first_text_s"] = row.first_text_s
    return found | {f"apportion.{phase}_s": took_s for phase, took_s in row.phases.items()}


def sample_attributes(sample: SampleRecord, model: Model) -> dict[str, Value]:
    """What a sample's span says."""
    found: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": model.provider,
        "gen_ai.request.model": model.name,
        "gen_ai.usage.input_tokens": sample.tokens_in,
        "gen_ai.usage.output_tokens": sample.tokens_out,
        "gen_ai.usage.cache_read.input_tokens": sample.tokens_cached,
        "gen_ai.response.finish_reasons": (sample.finish_reason or "stop",),
        "apportion.backend": sample.backend,
        "apportion.sample_id": sample.sample_id,
        "apportion.stage": sample.stage,
    }
    if sample.answer_class is not None:
        found["apportion.answer_class"] = sample.answer_class
    if sample.confidence is not None:
        found["apportion.confidence"] = sample.confidence
    return found


def _context(trace_id: str, span_id: str, *, remote: bool = False) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=remote, trace_flags=SAMPLED)


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
