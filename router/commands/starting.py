"""Wait for a service that is just starting: while nothing listens at its address, and for no other reason."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

LOOK_EVERY_S = 0.2
QUIET_S = 1.0  # nobody needs to be told of a shorter wait
CONNECT_S = 2.0  # a host that does not answer is not one that is starting

Connect = Callable[[tuple[str, int], float], AbstractContextManager[object]]


def wait_until_it_listens(
    server: str,  # HOST:PORT; other forms of gRPC's targets are not waited for
    most_s: float,
    say: Callable[[str], object],  # is told once, where it takes longer than a moment
    *,
    now_s: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
    connect: Connect = socket.create_connection,
) -> float:
    """Seconds waited, at most `most_s`: the connection was refused for so long. What else is wrong, the call says."""
    host, _, port = server.rpartition(":")
    begun, said = now_s(), False
    if not host or "/" in host or not port.isdigit():
        return 0.0
    while True:
        try:
            with connect((host.strip("[]"), int(port)), CONNECT_S):
                return now_s() - begun
        except ConnectionRefusedError:
            waited = now_s() - begun
        except (OSError, OverflowError):
            return now_s() - begun
        if waited + LOOK_EVERY_S > most_s:
            return waited
        if waited >= QUIET_S and not said:
            said = True
            how = f"waiting up to {most_s:g} s for a service that starts (`apportion --wait SECONDS …` says how long)"
            say(f"{server}: nothing listens there yet; {how}")
        sleep(LOOK_EVERY_S)
