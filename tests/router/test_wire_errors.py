"""Every error of the tree has its status, and its details come back whole."""

from __future__ import annotations

import grpc
import pytest

from router import errors
from router.clients.errors import Busy, OutOfBudget, from_status
from router.wire.errors import CODES, MAX_MESSAGE_BYTES, read_trailers, refusal

C = grpc.StatusCode
CASES: list[tuple[Exception, grpc.StatusCode, str]] = [
    (errors.InvalidQuery("a.b", "bad", "good"), C.INVALID_ARGUMENT, "INVALID"),
    (errors.UnknownName("plan", "x", ("y",)), C.NOT_FOUND, "UNKNOWN_NAME"),
    (errors.NoPlan("none"), C.FAILED_PRECONDITION, "NO_PLAN"),
    (errors.BudgetExceeded("spent", 3.0), C.RESOURCE_EXHAUSTED, "BUDGET"),
    (errors.Overloaded("busy"), C.RESOURCE_EXHAUSTED, "OVERLOAD"),
    (errors.Draining("bye"), C.UNAVAILABLE, "DRAINING"),
    (errors.DeadlineExceeded("late"), C.DEADLINE_EXCEEDED, "DEADLINE"),
    (errors.RequestConflict("twice"), C.ALREADY_EXISTS, "REQUEST_ID"),
    (errors.NotBuilt("later"), C.UNIMPLEMENTED, "NOT_BUILT"),
    (errors.BackendUnavailable("down"), C.UNAVAILABLE, "NO_BACKEND"),
    (errors.BackendTimeout("slow"), C.UNAVAILABLE, "BACKEND_TIMEOUT"),
    (errors.BackendRefused("no"), C.FAILED_PRECONDITION, "BACKEND_REFUSED"),
    (errors.BackendGarbled("<html>"), C.UNAVAILABLE, "BACKEND_GARBLED"),
    (errors.NotRecorded("x"), C.NOT_FOUND, "NOT_RECORDED"),
    (errors.StoreError("away"), C.UNAVAILABLE, "STORE"),
    (errors.PluginError("broke"), C.INTERNAL, "PLUGIN"),
    (KeyError("secret"), C.INTERNAL, "INTERNAL"),
]


@pytest.mark.parametrize(("error", "code", "reason"), CASES, ids=[type(case[0]).__name__ for case in CASES])
def test_an_error_becomes_its_status_and_comes_back_with_its_reason(error, code, reason):
    told = refusal(error, "d1")
    assert told.code is code
    back = read_trailers(told.trailers, told.message)
    assert (back.reason, back.decision_id) == (reason, "d1")


def test_no_error_of_the_tree_is_forgotten():
    """A caller must not see INTERNAL for what is the caller's or a model server's fault."""

    def leaves(kind: type[errors.RouterError]) -> list[type[errors.RouterError]]:
        return [kind, *(leaf for child in kind.__subclasses__() for leaf in leaves(child))]

    internal = {errors.RouterError, errors.ConfigError, errors.RecordingError, errors.PluginError}
    ours = {kind for kind in leaves(errors.RouterError) if kind.__module__ == "router.errors"}
    known = tuple(kind for kind, code in CODES if code is not C.INTERNAL)
    assert {kind for kind in ours if not issubclass(kind, known)} == internal


def test_the_field_and_what_is_allowed_come_back():
    told = refusal(errors.InvalidQuery("constraints.max_cost", "-1 is out of range", "at least 0"))
    assert read_trailers(told.trailers, told.message).field == "constraints.max_cost"
    assert "at least 0" in told.message


def test_when_to_come_back_comes_back():
    told = refusal(errors.BudgetExceeded("spent", 3.25))
    assert read_trailers(told.trailers, told.message).retry_after_s == 3.25


def test_an_error_knows_its_own_decision_better_than_the_call():
    error = errors.NoPlan("none")
    error.decision_id = "own"
    assert read_trailers(refusal(error, "other").trailers, "").decision_id == "own"


@pytest.mark.parametrize("text", ["x" * 100_000, "é" * 100_000, "\ud800" * 10])
def test_a_long_or_broken_message_fits_the_trailers(text):
    told = refusal(errors.InvalidQuery(text, text, text))
    assert len(told.message.encode()) <= MAX_MESSAGE_BYTES
    assert sum(len(value) for _, value in told.trailers) < 3 * MAX_MESSAGE_BYTES


def test_a_foreign_error_is_not_repeated():
    told = refusal(KeyError("secret"))
    assert "secret" not in told.message + repr(told.trailers)


def test_exhausted_money_and_exhausted_places_are_told_apart():
    kinds = [
        type(from_status("RESOURCE_EXHAUSTED", read_trailers(refusal(error).trailers, "")))
        for error in (errors.BudgetExceeded("spent"), errors.Overloaded("busy"))
    ]
    assert kinds == [OutOfBudget, Busy]


def test_a_status_without_details_keeps_its_message():
    """From a proxy, or from gRPC itself."""
    error = from_status("UNAVAILABLE", read_trailers((), "connection refused"))
    assert (error.message, error.reason, error.may_retry) == ("connection refused", "", True)


def test_details_that_are_not_ours_do_not_break_the_client():
    told = read_trailers((("grpc-status-details-bin", b"\xff\xff"),), "odd")
    assert (told.message, told.reason) == ("odd", "")
