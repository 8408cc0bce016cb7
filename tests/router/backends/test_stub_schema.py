"""A stub server keeps to a response format, as the servers do that it plays."""

from __future__ import annotations

import json

import pytest

from router.backends.stub_process import StubProcess
from router.backends.stub_schema import in_format, instance
from router.backends.stub_texts import Reply, Token


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a"]}, {"a": 0}),
        ({"enum": ["x", "y"]}, "x"),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, None),
        ({"type": ["boolean", "null"]}, False),
        ({"type": "array", "items": {"const": 7}, "minItems": 2}, [7, 7]),
        ({"type": "integer", "minimum": 3}, 3),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string", "minLength": 2}}}, "xx"),
    ],
)
def test_the_smallest_value_of_a_schema(schema, value):
    assert instance(schema, schema) == value


def test_a_schema_that_refers_to_itself_ends():
    schema = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    assert json.dumps(instance(schema, schema)).startswith('{"next": {"next": ')


def test_what_follows_already_or_calls_a_tool_stays():
    said = Reply((Token("text", '{"a": 1}'),), 3)
    call = Reply((Token("tool_name", "look"),), 3)
    for reply in (said, call):
        assert in_format(reply, {"type": "json_object"}) is reply
    plain = Reply((Token("thought", "hm"), Token("text", "four")), 3)
    assert in_format(plain, None) is plain
    kept = in_format(plain, {"type": "json_object"})
    assert kept.tokens[0].kind == "thought" and "".join(token.text for token in kept.tokens[1:]) == "{}"


def test_a_server_that_plays_a_recording_obeys():
    schema = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "sum", "schema": schema}}
    asked = {"model": "stub", "messages": [{"role": "user", "content": "2 + 3?"}], "response_format": wanted}
    with StubProcess() as stub:
        told = stub.ask("POST", "/v1/chat/completions", asked)
    assert json.loads(told["choices"][0]["message"]["content"]) == {"sum": 0}
