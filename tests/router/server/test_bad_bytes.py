"""What no client of ours would send: too large, broken, not UTF-8, from raw bytes. A clear error each, and the server lives."""

from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from router.client import InvalidRequest, message

GENERATE = "/apportion.router.v1.Router/Generate"
STREAM = "/apportion.router.v1.Router/GenerateStream"
MB = 1_000_000


async def refused(house, raw: bytes) -> grpc.aio.AioRpcError:
    """The error of `raw` sent as a request; afterwards a good query is answered on the same connection."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await house.channel.unary_unary(GENERATE)(raw, timeout=20)
    reply = await house.client.generate("2 + 2?")
    assert reply.text
    return caught.value


def violation(error: grpc.aio.AioRpcError) -> tuple[str, str]:
    """(field, description) of the error's BadRequest."""
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]
    bad = error_details_pb2.BadRequest()
    (packed,) = [
        detail for detail in status_pb2.Status.FromString(details).details if detail.Is(bad.DESCRIPTOR)
    ]
    packed.Unpack(bad)
    return bad.field_violations[0].field, bad.field_violations[0].description


@pytest.mark.parametrize("megabytes", [17, 20])
async def test_a_prompt_above_the_message_limit_gets_a_clear_error(house, ask, megabytes):
    error = await refused(house, ask("x" * (megabytes * MB)).SerializeToString())
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    field, description = violation(error)
    assert field == "request"
    assert "at most 16,777,216 bytes" in description


async def test_even_a_message_above_grpcs_own_limit_gets_an_error_and_no_reset(house):
    error = await refused(house, b"x" * (40 * MB))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in str(error.details())


async def test_a_prompt_with_too_many_characters_is_told_how_many_it_may_have(house, ask):
    error = await refused(house, ask("x" * (5 * MB)).SerializeToString())
    assert violation(error)[0] == "messages"
    assert "at most 4000000" in str(error.details())


async def test_text_that_is_not_utf8_is_refused(house, ask):
    raw = ask("AAAA").SerializeToString().replace(b"AAAA", b"A\xff\xfeA")
    error = await refused(house, raw)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "not UTF-8" in violation(error)[1]


@pytest.mark.parametrize("raw", [b"\xff\xff\xff", b"\x12\x7f", b"<html>502 Bad Gateway</html>"])
async def test_bytes_that_are_no_request_are_refused(house, raw):
    error = await refused(house, raw)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_empty_message_is_a_request_without_messages(house):
    assert violation(await refused(house, b""))[0] == "messages"


async def test_broken_bytes_on_a_stream_call_are_refused_alike(house):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in house.channel.unary_stream(STREAM)(b"\xff"):
            pass
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_client_does_not_send_what_is_too_large(house):
    with pytest.raises(InvalidRequest, match="at most 16,777,216 bytes"):
        await house.client.generate("x" * (20 * MB))


async def test_the_client_does_not_send_text_that_is_no_unicode(house):
    with pytest.raises(InvalidRequest):
        await house.client.generate("half a pair: \ud800")


@pytest.mark.parametrize("prompt", ["", "  \n"])
async def test_an_empty_prompt_is_refused(house, prompt):
    with pytest.raises(InvalidRequest) as caught:
        await house.client.generate(prompt)
    assert caught.value.field == "messages[0].parts"


async def test_a_role_that_is_none_is_refused(house):
    with pytest.raises(InvalidRequest) as caught:
        await house.client.generate([message("wizard", "hi")])
    assert caught.value.field == "messages[0].role"


async def test_an_error_about_megabytes_of_a_name_fits_a_header(house, ask):
    error = await refused(house, ask(plan="é" * MB).SerializeToString())
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violation(error)[0] == "constraints.plan"


async def test_an_outcome_of_a_decision_whose_name_no_header_carries_is_acknowledged(house):
    reports = [await house.client.report("naïve\u202e", "correct", True, key="once") for _ in range(2)]
    assert [report.duplicate for report in reports] == [False, True]
