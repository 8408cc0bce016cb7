"""What the client reads of a service that is newer than it is."""

from __future__ import annotations

from typing import Any

import pytest

from router.clients.admin_types import read_status
from router.clients.errors import ApportionError
from router.clients.read import read_event, read_reply
from router.v1 import apportion_router_pb2 as pb

LATER: Any = 99  # of an enum; proto3 hands numbers on that it does not know


def test_what_a_later_version_says_in_an_enum_is_told_in_words():
    info = pb.DecisionInfo(mode=pb.MODE_APPLY)
    reply = pb.GenerateReply(status=pb.STATUS_ANSWERED, decision=info)
    assert read_reply(reply).status.value == "answered"
    reply.status = LATER
    with pytest.raises(ApportionError, match=f"status {LATER}: it is newer than this client"):
        read_reply(reply)
    with pytest.raises(ApportionError, match=f"action {LATER}"):
        read_event(pb.GenerateStreamEvent(verdict=pb.Verdict(action=LATER)))
    with pytest.raises(ApportionError, match=f"mode {LATER}"):
        read_status(pb.GetStatusReply(mode=LATER))
