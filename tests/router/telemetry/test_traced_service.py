"""`apportion serve` between a caller that traces and a model server: one trace from end to end, by both doors."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import openai
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from router.backends.stub_process import StubProcess
from router.v1 import apportion_router_pb2 as pb
from router.v1 import apportion_router_pb2_grpc

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADER = f"00-{TRACE}-{CALLER}-01"
CONFIG = """
reference = "vote"
[backends.small]
kind = "vllm"
urls = ["{url}"]
model = "stub"
[[plans]]
name = "vote"
stages = [{{ backend = "small", max_samples = 3, width = 1 }}]
[store]
sqlite = ":memory:"
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
http_listen = "127.0.0.1:0"
[tracing]
endpoint = "{collector}"
share = 0.0
[log]
form = "json"
queries = "all"
"""


@dataclass
class Traced:
    """What the traces of one run are, once the service has ended."""

    spans: list[Any]
    stub: list[dict[str, Any]]
    log: list[dict[str, Any]]


class Collected(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.spans: list[Any] = []

    def Export(self, request, context):  # noqa: N802 (gRPC name)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Traced:
    """A chat and a gRPC query with a trace, and a chat without one."""
    folder, collected, server = (
        tmp_path_factory.mktemp("traced"),
        Collected(),
        grpc.server(ThreadPoolExecutor(1)),
    )
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collected, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    config = folder / "router.toml"
    log = folder / "log"
    with StubProcess() as stub, log.open("w") as errors:
        config.write_text(CONFIG.format(url=stub.url, collector=f"http://127.0.0.1:{port}"))
        command = [sys.executable, "-m", "router", "serve", "--config", str(config)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
            assert process.stdout is not None
            found = re.fullmatch(r"listening router=(\S+) admin=\S+ http=(\S+)\n", process.stdout.readline())
            assert found, log.read_text()
            try:
                with openai.OpenAI(base_url=f"http://{found[2]}/v1", api_key="none") as client:
                    asked: list[Any] = [{"role": "user", "content": "2 + 2?"}]
                    for headers in ({"traceparent": HEADER}, {}):
                        client.chat.completions.create(model="auto", messages=asked, extra_headers=headers)
                with grpc.insecure_channel(found[1]) as channel:
                    router = apportion_router_pb2_grpc.RouterStub(channel)
                    query = pb.GenerateRequest(
                        messages=[pb.Message(role=pb.ROLE_USER, parts=[pb.Part(text="2 + 2?")])]
                    )
                    router.Generate(query, metadata=(("traceparent", HEADER),))
            finally:
                process.terminate()
            assert process.wait(30) == 0
        seen = stub.requests()
    server.stop(None).wait()
    return Traced(collected.spans, seen, [json.loads(line) for line in log.read_text().splitlines()])


def test_two_queries_of_three_are_traced_with_their_samples(traced):
    assert [span.name for span in traced.spans] == ["chat vote", *["chat stub"] * 3] * 2
    assert {span.trace_id.hex() for span in traced.spans} == {TRACE}


def test_queries_hang_below_their_caller_and_samples_below_their_query(traced):
    for place in (0, 4):
        query, *samples = traced.spans[place : place + 4]
        assert query.parent_span_id.hex() == CALLER
        assert {sample.parent_span_id for sample in samples} == {query.span_id}
        assert all(query.start_time_unix_nano <= sample.start_time_unix_nano for sample in samples)
        assert all(sample.end_time_unix_nano <= query.end_time_unix_nano for sample in samples)


def test_every_request_to_the_model_server_names_its_samples_span(traced):
    told = [seen.get("traceparent") for seen in traced.stub]
    samples = [span.span_id.hex() for span in traced.spans if span.name == "chat stub"]
    assert (
        told
        == [
            *(f"00-{TRACE}-{span_id}-01" for span_id in samples[:3]),
            *(None, None, None),  # of the query that nobody traces
            *(f"00-{TRACE}-{span_id}-01" for span_id in samples[3:]),
        ]
    )


def test_the_log_has_a_line_per_query_with_its_decision_and_its_trace(traced):
    queries = [line for line in traced.log if line["event"] == "query"]
    assert [line["trace_id"] for line in queries] == [TRACE, "", TRACE]
    assert len({line["decision_id"] for line in queries}) == 3
    ids = [
        attribute.value.string_value
        for span in traced.spans
        for attribute in span.attributes
        if attribute.key == "apportion.decision_id"
    ]
    assert ids == [queries[0]["decision_id"], queries[2]["decision_id"]]


def test_opentelemetry_is_not_imported_where_nothing_is_traced():
    code = "import sys, router.server, router.telemetry.telemetry; print('opentelemetry' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
