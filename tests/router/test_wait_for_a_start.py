"""The commands that ask a service wait for one that is just starting, and for nothing else."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import pytest

from router.client import ApportionError, TooLate
from router.command_group import CommandFailed
from router.commands.connection import _errors_of
from router.commands.operators import plans, status
from router.commands.starting import wait_until_it_listens


@dataclass
class Clock:
    """Time that passes only while somebody sleeps."""

    now: float = 0.0
    slept: int = 0
    said: list[str] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += 1


@pytest.fixture
def bound() -> Iterator[socket.socket]:
    """A port that is held and refuses connections."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held


def address(held: socket.socket) -> str:
    return f"127.0.0.1:{held.getsockname()[1]}"


def test_a_service_that_begins_to_listen_is_waited_for_and_said_after_a_second(bound):
    clock = Clock()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now > 2.9:
            bound.listen()

    waited = wait_until_it_listens(address(bound), 20.0, clock.said.append, now_s=clock, sleep=sleep)
    assert waited == pytest.approx(3.0)
    (said,) = clock.said
    assert said.startswith(f"{address(bound)}: nothing listens there yet; waiting up to 20 s for a service")
    assert "--wait" in said


def test_nothing_is_waited_for_where_somebody_listens(bound):
    clock = Clock()
    bound.listen()
    wait_until_it_listens(address(bound), 20.0, clock.said.append, now_s=clock, sleep=clock.sleep)
    assert (clock.slept, clock.said) == (0, [])


@pytest.mark.parametrize("most_s", [0.0, 0.5, 20.0])
def test_the_wait_ends_with_its_time(bound, most_s):
    clock = Clock()
    wait_until_it_listens(address(bound), most_s, clock.said.append, now_s=clock, sleep=clock.sleep)
    assert clock.now == pytest.approx(max(0.0, most_s), abs=0.2)
    assert clock.now <= most_s


@pytest.mark.parametrize("error", [TimeoutError(), socket.gaierror(), PermissionError()])
def test_another_error_is_not_waited_for(error):
    clock = Clock()

    def connect(to: tuple[str, int], timeout: float) -> AbstractContextManager[object]:
        raise error

    wait_until_it_listens("a:1", 20.0, clock.said.append, now_s=clock, sleep=clock.sleep, connect=connect)
    assert clock.slept == 0


@pytest.mark.parametrize("server", ["unix:/run/apportion.sock", "dns:///router:50051", "router", "[::1]:x"])
def test_a_target_that_is_no_host_and_port_is_left_to_the_call(server):
    clock = Clock()
    assert wait_until_it_listens(server, 20.0, clock.said.append, now_s=clock, sleep=clock.sleep) == 0.0


@pytest.mark.parametrize(
    ("command", "said", "waited_s"), [(status, "", 3.0), (plans, "", 20.0), (status, "7", 7.0)]
)
def test_the_status_waits_shortly_for_a_service_that_is_not_there(monkeypatch, command, said, waited_s):
    waits: list[float] = []

    def wait(server: str, most_s: float, say: object) -> float:
        waits.append(most_s)
        return 0.0

    monkeypatch.setattr("router.commands.connection.wait_until_it_listens", wait)
    monkeypatch.delenv("APPORTION_WAIT", raising=False)
    if said:
        monkeypatch.setenv("APPORTION_WAIT", said)
    with pytest.raises(CommandFailed, match="is `apportion serve` running there"):
        command(server="127.0.0.1:1")
    assert waits == [waited_s]


def test_a_port_that_says_nothing_is_told_in_words():
    with pytest.raises(CommandFailed, match="a:1: no answer in time; is it busy"), _errors_of("a:1", "it"):
        raise TooLate("Deadline Exceeded", status="DEADLINE_EXCEEDED")
    with pytest.raises(CommandFailed, match="the deadline passed before"), _errors_of("a:1", "it"):
        raise TooLate("the deadline passed before a sample", status="DEADLINE_EXCEEDED", reason="DEADLINE")


def test_who_shows_no_token_is_told_where_commands_find_it():
    said = r"say who you are \(set APPORTION_TOKEN to your token\)"
    with pytest.raises(CommandFailed, match=said), _errors_of("127.0.0.1:1", "the Router service"):
        raise ApportionError("say who you are", status="UNAUTHENTICATED")
