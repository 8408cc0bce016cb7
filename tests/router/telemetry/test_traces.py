"""A span per query and per sample, from the row: ids, times, words, and what happens when nobody takes them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.trace import SpanKind, StatusCode

from router.domain.decision import Decision, SampleRecord, Status
from router.domain.query_trace import Trace, read_traceparent
from router.domain.usage import Usage
from router.telemetry import traces as traces_module
from router.telemetry.spans import OTLP, Model, query_attributes, sample_attributes
from router.telemetry.traces import Traces

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADER = f"00-{TRACE}-{CALLER}-01"
MODELS = {"small": Model("Qwen/Qwen2.5-0.5B-Instruct", "vllm")}
SAMPLE = SampleRecord(
    "0.0", "small", 0, 0, None, "stop", 12, 4, 7, latency_s=0.5, ended_s=0.75, text="SECRET"
)


@pytest.fixture
def traced(row):
    """A row of a traced query with one sample."""
    return row(
        trace_id=TRACE,
        caller_span=CALLER,
        samples=(SAMPLE,),
        created_at=100.0,
        latency_s=1.0,
        phases={"choose": 0.001},
        usage={"small": Usage(12, 4, 7)},
        query_text="SECRET",
        session_id="talk",
    )


def otlp(exporter=None) -> OTLP:
    return OTLP(MODELS, "1.0", "here", exporter or InMemorySpanExporter())


class Taken:
    """A collector that says what it is told to, and lets tests wait for it."""

    def __init__(self, problem: str = "") -> None:
        self.problem, self.rows, self.closed = problem, list[Decision](), False
        self.came = threading.Semaphore(0)

    def send(self, rows: Sequence[Decision]) -> tuple[int, str]:
        self.rows += rows
        self.came.release()
        return len(rows), self.problem

    def close(self) -> None:
        self.closed = True


def test_a_query_is_a_span_under_its_callers_and_a_sample_one_under_it(traced):
    query, sample = otlp().spans(traced)
    assert (query.name, query.kind, sample.kind) == ("chat one", SpanKind.SERVER, SpanKind.CLIENT)
    assert sample.name == "chat Qwen/Qwen2.5-0.5B-Instruct"
    assert {span.context.trace_id for span in (query, sample)} == {int(TRACE, 16)}
    assert (query.parent and query.parent.span_id) == int(CALLER, 16)
    assert (sample.parent and sample.parent.span_id) == query.context.span_id
    assert query.resource.attributes["service.instance.id"] == "here"


def test_the_model_server_is_told_the_span_that_is_written_afterwards(traced):
    told = Trace(TRACE, CALLER).of(traced.decision_id).header("0.0")
    *_, sample = otlp().spans(traced)
    assert told == f"00-{TRACE}-{sample.context.span_id:016x}-01"


def test_times_are_those_of_the_row(traced):
    query, sample = otlp().spans(traced)
    assert (query.start_time, query.end_time) == (100_000_000_000, 101_000_000_000)
    assert (sample.start_time, sample.end_time) == (100_250_000_000, 100_750_000_000)


def test_no_text_is_in_a_span(traced):
    for span in otlp().spans(traced):
        assert "SECRET" not in repr(span.attributes) + span.name


def test_the_words_are_those_of_the_semantic_conventions(traced):
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    said = {*query_attributes(traced), *sample_attributes(SAMPLE, MODELS["small"])}
    assert {name for name in said if name.startswith("gen_ai.")} <= known
    assert {name.split(".")[0] for name in said} == {"gen_ai", "apportion"}
    assert query_attributes(traced)["gen_ai.usage.output_tokens"] == 7
    assert query_attributes(traced)["apportion.choose_s"] == 0.001


def test_a_query_without_an_answer_is_an_error_without_the_message(traced, row):
    failed = row(trace_id=TRACE, status=Status.FAILED, error="NO_BACKEND: small said SECRET")
    (query,) = otlp().spans(failed)
    assert (query.status.status_code, query.status.description) == (StatusCode.ERROR, "NO_BACKEND")
    assert query.attributes is not None
    assert query.attributes["error.type"] == "NO_BACKEND"
    assert query.parent is None


@pytest.mark.parametrize(
    ("header", "trace"),
    [
        (HEADER, Trace(TRACE, CALLER)),
        (f"00-{TRACE}-{CALLER}-00", None),  # its caller does not trace it
        (f"cc-{TRACE}-{CALLER}-01-more", Trace(TRACE, CALLER)),  # a later version
        ("", Trace("f" * 32)),
        ("nonsense", Trace("f" * 32)),
        (f"00-{'0' * 32}-{CALLER}-01", Trace("f" * 32)),
        (f"ff-{TRACE}-{CALLER}-01", Trace("f" * 32)),
    ],
)
def test_who_is_traced(header: str, trace: Trace | None):
    traces = Traces(Taken(), 1.0, lambda: "f" * 32)
    assert traces.begin(header) == trace
    traces.close()


def test_a_share_of_the_others_is_traced():
    ids = iter([f"{place * 2**32 // 100:08x}{'1' * 24}" for place in range(100)])
    traces = Traces(Taken(), 0.25, lambda: next(ids))
    assert sum(traces.begin("") is not None for _ in range(100)) == 25
    traces.close()


@pytest.mark.parametrize(
    "text", ["", "00", HEADER.upper(), f"00-{TRACE}-{CALLER}-01-x", f"0-{TRACE}-{CALLER}-01"]
)
def test_what_is_no_header_is_ignored(text: str):
    assert read_traceparent(text) is None


def test_rows_that_are_not_traced_go_nowhere(row):
    taken = Taken()
    traces = Traces(taken, 1.0, str)
    traces.seen(row())
    traces.close()
    assert (taken.rows, taken.closed) == ([], True)


def test_what_waits_is_sent_when_it_closes(traced):
    taken = Taken()
    traces = Traces(taken, 1.0, str)
    traces.seen(traced)
    traces.close()
    assert (len(taken.rows), traces.counts()) == (1, {"exported": 1, "dropped": 0})


def test_a_collector_that_takes_nothing_costs_spans_and_nothing_else(traced):
    taken = Taken("away")
    traces = Traces(taken, 1.0, str)
    for _ in range(traces_module.BATCH):
        traces.seen(traced)
    assert taken.came.acquire(timeout=10)
    traces.close()
    assert traces.counts() == {"exported": 0, "dropped": traces_module.BATCH}


def test_rows_without_room_are_counted(traced, monkeypatch):
    monkeypatch.setattr(traces_module, "MOST_WAITING", 0)
    traces = Traces(Taken(), 1.0, str)
    traces.seen(traced)
    traces.close()
    assert traces.counts()["dropped"] == 1


def test_spans_arrive_at_a_collector_over_grpc(traced):
    came: list[trace_service_pb2.ExportTraceServiceRequest] = []

    class Servicer(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request, context):  # noqa: N802 (gRPC name)
            came.append(request)
            return trace_service_pb2.ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Servicer(), server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    traces = Traces(OTLP.to(f"http://127.0.0.1:{port}", MODELS, "1.0", "here"), 1.0, str)
    traces.seen(traced)
    traces.close()
    server.stop(None).wait()
    (request,) = came
    names = [span.name for span in request.resource_spans[0].scope_spans[0].spans]
    assert names == ["chat one", "chat Qwen/Qwen2.5-0.5B-Instruct"]
    assert traces.counts() == {"exported": 2, "dropped": 0}


def test_a_collector_that_is_not_there_is_named_by_us_alone(traced, capfd, caplog):
    collector = OTLP.to("http://127.0.0.1:1", MODELS, "1.0", "here")  # nothing listens on port 1
    spans, problem = collector.send([traced])
    collector.close()
    assert (spans, problem) == (2, "the collector http://127.0.0.1:1 does not take them")
    assert (capfd.readouterr().err, caplog.text) == ("", "")
