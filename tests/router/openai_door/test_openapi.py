"""The document that the door serves about itself: valid, whole, and true of whatever schemathesis makes of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ensure_resource_availability,
    missing_required_header,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from router.openai_door.openapi import document

# Not among them: `positive_data_acceptance`, since no schema knows the names of plans, what a backend can do or what a
# conversation must be; such requests are refused with 400 or 404 by name.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
    missing_required_header,
    ensure_resource_availability,
]
ONE_ANSWER = CHECKS[:5]
JSON = "application/json"
EXAMPLES = int(os.environ.get("APPORTION_EXAMPLES", "15"))  # per operation
CONFIG = """
reference = "one"
[backends.b]
kind = "scripted"
script = ["four", "five"]
[[plans]]
name = "one"
stages = [{ backend = "b" }]
[[plans]]
name = "two"
stages = [{ backend = "b", max_samples = 2 }]
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
http_listen = "127.0.0.1:0"
[metrics]
on_door = true
[store]
sqlite = ":memory:"
"""


@pytest.fixture(scope="module")
def door_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`apportion serve` with its door open and a model that answers at once."""
    config = tmp_path_factory.mktemp("openapi") / "router.toml"
    config.write_text(CONFIG)
    command = [sys.executable, "-m", "router", "serve", "--config", str(config)]
    log = config.with_name("log")
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            found = re.search(r" http=(\S+)", process.stdout.readline())
            assert found, log.read_text()
            yield f"http://{found[1]}"
        finally:
            process.terminate()


OPERATIONS = ("chat", "complete", "feedback", "models", "model", "health", "metrics")
WITH_A_BODY_OR_NAME = ("chat", "complete", "feedback")


@pytest.mark.parametrize(
    ("operation", "mode"),
    [
        *((name, GenerationMode.POSITIVE) for name in OPERATIONS),
        *((name, GenerationMode.NEGATIVE) for name in WITH_A_BODY_OR_NAME),
    ],
)
def test_every_answer_is_what_the_document_says(door_url: str, operation: str, mode: GenerationMode):
    schema = schemathesis.openapi.from_url(f"{door_url}/openapi.json")
    asked = schema.find_operation_by_id(operation).as_strategy(generation_mode=mode)
    seen = Counter[int]()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=asked)
    def answered(case: Any) -> None:
        seen[case.call_and_validate(checks=CHECKS).status_code] += 1

    answered()
    assert seen
    assert mode is GenerationMode.NEGATIVE or operation in {"chat", "model"} or seen[200]


TURNS = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "2 + 2?"}]},
]


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("chat", {"messages": TURNS}),
        ("chat", {"messages": TURNS, "n": 2, "router": {"return_samples": True}}),
        ("chat", {"messages": TURNS, "stream": True, "stream_options": {"include_usage": True}}),
        ("chat", {"messages": TURNS, "router": {"return_probabilities": True, "return_reasoning": True}}),
        ("complete", {"prompt": "2 + 2?", "stream": True}),
    ],
)
def test_what_goes_well_is_what_the_document_says(door_url: str, operation: str, body: dict[str, Any]):
    schema = schemathesis.openapi.from_url(f"{door_url}/openapi.json")
    case = schema.find_operation_by_id(operation).Case(body={"model": "auto", **body}, media_type=JSON)
    assert case.call_and_validate(checks=ONE_ANSWER).status_code == 200


def paths() -> Any:
    return document(("auto",), "1", forwarded=("/v1/embeddings",), metrics=True)["paths"]


def test_every_route_is_in_the_document():
    assert set(paths()) == {
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/feedback",
        "/v1/models",
        "/v1/models/{name}",
        "/v1/embeddings",
        "/health",
        "/metrics",
    }


def test_ranges_and_words_are_those_that_are_checked():
    schemas = document(("auto", "one"), "1", extra=("min_tokens",))["components"]["schemas"]
    chat = schemas["ChatAsked"]["properties"]
    assert chat["temperature"]["anyOf"][0] == {"type": "number", "minimum": 0, "maximum": 2}
    assert chat["top_p"]["anyOf"][0] == {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
    assert chat["model"]["anyOf"][0] == {"enum": ["auto", "one"]}
    assert {"min_tokens", "store", "modalities", "router"} <= set(chat)
    assert "developer" in schemas["TurnAsked"]["properties"]["role"]["enum"]
