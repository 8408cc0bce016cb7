"""Log lines: their form, the decision they are about, and a line per query where that is wanted."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import structlog

from router.domain import running
from router.domain.decision import Decision, Status
from router.errors import RouterError
from router.telemetry.logs import log_to, query_log


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    yield io.StringIO()
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_level_and_time(stream):
    log_to(stream, "json")
    structlog.get_logger().warning("something", backend="small")
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["backend"]) == ("something", "warning", "small")
    assert "timestamp" in line
    assert "decision_id" not in line


def test_a_log_that_cannot_be_written_fails_nobody():
    with Path("/dev/full").open("w") as full:
        log_to(full, "json")
        structlog.get_logger().error("no room")
        structlog.reset_defaults()
        with suppress(OSError):  # what was buffered cannot be written when it is closed either
            full.close()


def test_text_is_the_other_form(stream):
    log_to(stream, "text")
    structlog.get_logger().warning("something")
    assert "something" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_a_line_written_for_a_query_names_its_decision(stream):
    log_to(stream, "json")
    token = running.decision_id.set("d7")
    structlog.get_logger().info("meanwhile")
    structlog.get_logger().info("about another", decision_id="d8")
    running.decision_id.reset(token)
    assert [line["decision_id"] for line in lines(stream)] == ["d7", "d8"]


async def test_the_allocator_says_which_decision_its_task_works_on(watched, stream):
    log_to(stream, "json")
    one = watched()
    rows: list[Decision] = []
    one.service.allocator.books.onlookers.append(rows.append)
    one.service.allocator.books.onlookers.append(lambda row: structlog.get_logger().info("seen"))
    await one.ask()
    assert lines(stream)[-1]["decision_id"] == rows[0].decision_id


async def test_a_line_per_query_has_what_was_decided_and_no_text(watched, stream):
    log_to(stream, "json")
    one = watched()
    write = query_log("all")
    assert write is not None
    one.service.allocator.books.onlookers.append(write)
    await one.ask("vote", tenant="ann")
    line = next(line for line in lines(stream) if line["event"] == "query")
    assert (line["plan"], line["tenant"], line["status"], line["samples"]) == ("vote", "ann", "answered", 2)
    assert "2 + 2" not in stream.getvalue()


async def test_only_queries_without_an_answer_may_be_wanted(watched, stream):
    log_to(stream, "json")
    one = watched()
    write = query_log("failed")
    assert write is not None
    one.service.allocator.books.onlookers.append(write)
    await one.ask("vote")
    with pytest.raises(RouterError):
        await one.ask("broken")
    (line,) = (line for line in lines(stream) if line["event"] == "query")
    assert (line["status"], line["level"], line["error"]) == (Status.FAILED.value, "warning", "NO_BACKEND")


def test_no_line_at_all_costs_nothing():
    assert query_log("none") is None
