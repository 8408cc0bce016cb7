"""Every range that the wire states is checked, and the message names the field and what is allowed."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from predictors.observation import Constraints, PartKind, Preferences, Sampling
from router.checks.queries import Known
from router.domain.decision import Keep, Mode
from router.errors import InvalidQuery
from router.v1 import apportion_router_pb2 as pb
from router.wire.query import read_options, read_query

KNOWN = Known(
    plans=frozenset(("small", "large")),
    backends=frozenset(("s", "l")),
    verifiers=frozenset(("math",)),
    extra=frozenset(("guided_choice",)),
    max_prompt_chars=100,
)


def read(request: pb.GenerateRequest) -> Any:
    read_options(request, stream=False, time_left_s=None)
    return read_query(request, KNOWN, lambda: "new-id")


def turn(text: str = "hi", role: pb.Role.ValueType = pb.ROLE_USER, **fields: Any) -> pb.Message:
    return pb.Message(role=role, parts=[pb.Part(text=text)], **fields)


def request(**fields: Any) -> pb.GenerateRequest:
    fields.setdefault("messages", [turn()])
    return pb.GenerateRequest(**fields)


def sampling(**fields: Any) -> pb.GenerateRequest:
    return request(sampling=pb.Sampling(**fields))


def limits(**fields: Any) -> pb.GenerateRequest:
    return request(constraints=pb.Constraints(**fields))


def part(**kind: Any) -> pb.GenerateRequest:
    return request(messages=[pb.Message(role=pb.ROLE_USER, parts=[pb.Part(**kind)])])


BAD: list[tuple[str, pb.GenerateRequest, str]] = [
    # field, request, a piece of the message
    ("messages", pb.GenerateRequest(), "at least one message"),
    ("messages[0].role", request(messages=[turn(role=pb.ROLE_UNSPECIFIED)]), "ROLE_USER"),
    ("messages[0].role", request(messages=[turn(role=99)]), "99"),  # type: ignore[arg-type]
    ("messages[0].parts", request(messages=[turn("")]), "nothing in them"),
    ("messages[1].parts", request(messages=[turn(), turn(" \n\t ")]), "nothing in them"),
    ("messages[0].parts", request(messages=[pb.Message(role=pb.ROLE_USER)]), "nothing in them"),
    ("messages[0].parts[0]", part(), "text, image_url or data"),
    ("messages[0].parts[0].image_url", part(image_url="ftp://x"), "http(s) or data URL"),
    ("messages[0].parts[0].data.mime", part(data=pb.Data(mime="png", bytes=b"x")), "image/png"),
    ("messages[0].parts[0].data.bytes", part(data=pb.Data(mime="image/png")), "one byte or more"),
    ("messages", request(messages=[turn("x" * 60), turn("y" * 41)]), "101 characters"),
    ("messages[0].tool_call_id", request(messages=[turn(role=pb.ROLE_TOOL)]), "the id of the call"),
    ("messages[0].tool_call_id", request(messages=[turn(tool_call_id="a")]), "only in role tool"),
    ("messages[0].reasoning", request(messages=[turn(reasoning="hm")]), "only in role assistant"),
    (
        "messages[0].tool_calls",
        request(messages=[turn(tool_calls=[pb.ToolCall(name="f")])]),
        "role assistant",
    ),
    ("request_id", request(request_id="x" * 129), "at most 128 bytes"),
    ("request_id", request(request_id="ü" * 65), "130 bytes"),
    ("session_id", request(session_id="x" * 129), "at most 128 bytes"),
    ("tenant", request(tenant="x" * 129), "at most 128 bytes"),
    ("tenant", request(tenant="a\0b"), "NUL"),
    ("request_id", request(request_id="\0"), "NUL"),
    ("task_hint", request(task_hint="x" * 129), "at most 128 bytes"),
    ("tools", request(tools=[pb.Tool(name=f"f{number}") for number in range(129)]), "at most 128"),
    ("tools[0].name", request(tools=[pb.Tool(name="a b")]), "[a-zA-Z0-9_-]{1,64}"),
    ("tools[1].name", request(tools=[pb.Tool(name="f"), pb.Tool(name="f")]), "every name once"),
    ("tools[0].parameters", request(tools=[pb.Tool(name="f", parameters="{")]), "not JSON"),
    ("tools[0].parameters", request(tools=[pb.Tool(name="f", parameters="[" * 100_000)]), "not JSON"),
    ("tools[0].parameters", request(tools=[pb.Tool(name="f", parameters="[]")]), "a JSON object"),
    ("tool_choice", request(tool_choice="g"), "auto, none, required"),
    ("tool_choice", request(tool_choice="required"), "`tools` is empty"),
    ("response_format", request(response_format="json"), "a JSON object"),
    ("response_format", request(response_format="{}"), "has no `type`"),
    ("sampling.temperature", sampling(temperature=2.1), "[0, 2]"),
    ("sampling.temperature", sampling(temperature=math.nan), "nan"),
    ("sampling.top_p", sampling(top_p=0.0), "(0, 1]"),
    ("sampling.top_k", sampling(top_k=0), "at least 1"),
    ("sampling.min_p", sampling(min_p=-0.1), "[0, 1]"),
    ("sampling.max_tokens", sampling(max_tokens=0), "at least 1"),
    ("sampling.thinking_tokens", sampling(thinking_tokens=-1), "at least 0"),
    ("sampling.stop", sampling(stop=["x"] * 17), "at most 16"),
    ("sampling.stop", sampling(stop=[""]), "one character or more"),
    ("sampling.logit_bias", sampling(logit_bias={"cat": 1.0}), "a decimal number"),
    ("sampling.logit_bias[7]", sampling(logit_bias={"7": 101.0}), "[-100, 100]"),
    ("sampling.presence_penalty", sampling(presence_penalty=-2.5), "[-2, 2]"),
    ("sampling.frequency_penalty", sampling(frequency_penalty=math.inf), "inf"),
    ("sampling.repetition_penalty", sampling(repetition_penalty=0.0), "above 0"),
    ("sampling.logprobs", sampling(logprobs=21), "[0, 20]"),
    ("answers", request(answers=0), "[1, 16]"),
    ("answers", request(answers=17), "[1, 16]"),
    ("verifier", request(verifier="gold"), "math"),
    ("constraints.max_cost", limits(max_cost=-1), "at least 0"),
    ("constraints.max_ttft", limits(max_ttft=Duration()), "above 0 s"),
    ("constraints.max_ttft", limits(max_ttft=Duration(seconds=-1)), "above 0 s"),
    ("constraints.max_ttft", limits(max_ttft=Duration(seconds=10**15)), "10,000 years"),
    ("constraints.min_quality", limits(min_quality=1.1), "[0, 1]"),
    ("constraints.max_risk", limits(max_risk=math.nan), "nan"),
    ("constraints.allowed_backends[1]", limits(allowed_backends=["s", "x"]), "l, s"),
    ("constraints.denied_backends[0]", limits(denied_backends=["x"]), "l, s"),
    ("constraints.plan", limits(plan="huge"), "large, small"),
    ("constraints.on_unavailable", limits(on_unavailable=7), "ON_UNAVAILABLE_FAIL"),
    ("preferences.cost_weight", request(preferences=pb.Preferences(cost_weight=-1.0)), "at least 0"),
    ("preferences.latency_weight", request(preferences=pb.Preferences(latency_weight=math.inf)), "inf"),
    ("features", request(features={f"f{number}": 1.0 for number in range(65)}), "at most 64"),
    ("features", request(features={"": 1.0}), "one character or more"),
    ("features[f]", request(features={"f": math.nan}), "finite"),
    ("mode", request(mode=9), "MODE_APPLY"),
    ("explore", request(explore=9), "EXPLORE_FORBID"),
    ("log", request(log=9), "LOG_HASH"),
    ("priority", request(priority=101), "[-100, 100]"),
    ("metadata", request(metadata={f"k{number}": "" for number in range(65)}), "at most 64"),
    ("metadata['k']", request(metadata={"k": "x" * 1024}), "1024 bytes"),
    ("extra", request(extra="nope"), "a JSON object"),
    ("extra", request(extra='{"logits": 1}'), "guided_choice"),
]


@pytest.mark.parametrize(
    ("field", "bad", "piece"), BAD, ids=[f"{entry[0]}-{index}" for index, entry in enumerate(BAD)]
)
def test_a_value_out_of_range_is_refused_with_its_field_and_what_is_allowed(
    field: str, bad: pb.GenerateRequest, piece: str
):
    with pytest.raises(InvalidQuery) as caught:
        read(bad)
    assert (caught.value.field, piece in str(caught.value)) == (field, True), str(caught.value)


def test_every_range_of_the_sampling_parameters_is_checked():
    """Whatever number the message has, an infinite or a hopeless value of it is refused."""
    fields = [
        field for field in pb.Sampling.DESCRIPTOR.fields if field.name not in ("seed", "stop", "logit_bias")
    ]
    for field in fields:
        value: Any = math.nan if field.cpp_type == field.CPPTYPE_DOUBLE else -5
        with pytest.raises(InvalidQuery, match=f"sampling.{field.name}"):
            read(sampling(**{field.name: value}))


def test_a_megabyte_of_nonsense_is_not_repeated_in_the_message():
    with pytest.raises(InvalidQuery) as caught:
        read(limits(plan="x" * 1_000_000))
    assert len(str(caught.value)) < 300


def test_what_is_not_set_stays_unset():
    query = read(request())
    assert query.request_id == "new-id"
    assert query.tenant == "default"
    assert (query.sampling, query.constraints, query.preferences) == (
        Sampling(),
        Constraints(),
        Preferences(),
    )
    assert (query.answers, query.features, query.metadata, query.extra) == (1, {}, {}, {})


def test_a_zero_that_was_set_is_kept():
    query = read(sampling(temperature=0.0, seed=0, thinking_tokens=0))
    assert (query.sampling.temperature, query.sampling.seed, query.sampling.thinking_tokens) == (0.0, 0, 0)
    assert read(limits(max_cost=0)).constraints.max_cost_micros == 0


def test_options_are_as_configured_unless_said_otherwise():
    options = read_options(request(), stream=True, time_left_s=3.0)
    assert (options.mode, options.explore, options.keep) == (None, True, None)
    assert (options.stream, options.tell, options.time_left_s) == (True, False, 3.0)


def test_options_say_what_the_caller_said():
    asked = request(mode=pb.MODE_OBSERVE, explore=pb.EXPLORE_FORBID, log=pb.LOG_HASH, return_samples=True)
    options = read_options(asked, stream=True, time_left_s=None)
    assert (options.mode, options.explore, options.keep) == (Mode.OBSERVE, False, Keep.HASH)
    assert options.tell


def test_a_conversation_with_tools_images_and_data_goes_through_whole():
    query = read(
        request(
            messages=[
                turn("be brief", role=pb.ROLE_SYSTEM),
                pb.Message(
                    role=pb.ROLE_USER,
                    parts=[
                        pb.Part(text="what is this?"),
                        pb.Part(image_url="data:image/png;base64,AA"),
                        pb.Part(data=pb.Data(mime="image/png", bytes=b"\x00\xff")),
                    ],
                ),
                pb.Message(role=pb.ROLE_ASSISTANT, tool_calls=[pb.ToolCall(id="1", name="f", arguments="{")]),
                pb.Message(role=pb.ROLE_TOOL, tool_call_id="1", parts=[pb.Part(text="")]),
            ],
            tools=[pb.Tool(name="f", parameters='{"type": "object"}')],
            tool_choice="f",
            response_format='{"type": "json_object"}',
            extra='{"guided_choice": ["a", "b"]}',
        )
    )
    assert [message.role for message in query.messages] == ["system", "user", "assistant", "tool"]
    assert [part.kind for part in query.messages[1].parts] == [
        PartKind.TEXT,
        PartKind.IMAGE_URL,
        PartKind.DATA,
    ]
    assert query.messages[1].parts[2].data == b"\x00\xff"
    assert query.messages[2].tool_calls[0].arguments == "{"  # the model's own, not checked
    assert query.extra == {"guided_choice": ["a", "b"]}
    assert query.tool_choice == "f"
