"""A connection for one command; what goes wrong with it ends in one line that names the server."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import typer

from router.command_group import CommandFailed
from router.commands.starting import wait_until_it_listens
from router.durations import span

if TYPE_CHECKING:
    from router.client import TLS, AdminClient, SyncClient
    from router.clients.values import Reported

ROUTER = "127.0.0.1:50051"
ADMIN = "127.0.0.1:50052"
TOKEN = "APPORTION_TOKEN"  # noqa: S105 (a variable's name; no option, which lists of processes would show)
CA, CERT, KEY = "APPORTION_CA", "APPORTION_CERT", "APPORTION_KEY"  # what --ca, --cert and --key say
WAIT = "APPORTION_WAIT"  # what --wait says
WAIT_S = 20.0  # a service is up within seconds, on a busy machine within twenty
MOST_PORTS = 65_535
ADMIN_S = 10.0  # for an answer of the Admin port
LOOK_S = 2.0  # for what is only a hint
ASK_ALL_THE_SAME_S = 0.5  # left of a deadline for the call that says what is wrong

Result = TypeVar("Result")


@contextmanager
def asking(server: str, timeout_s: float) -> Iterator[SyncClient]:
    """A client of the Router port, for the time of one command."""
    from router.client import SyncClient

    _check_target(server)
    left_s = max(timeout_s - _started(server, timeout_s), min(timeout_s, ASK_ALL_THE_SAME_S))
    with (
        _errors_of(server, "the Router service, at `listen`"),
        SyncClient(server, timeout_s=left_s, token=os.environ.get(TOKEN, ""), tls=_tls()) as client,
    ):
        yield client


def ask_admin(
    server: str,
    call: Callable[[AdminClient], Awaitable[Result]],
    *,
    wait_s: float = WAIT_S,  # for a service that is just starting, where nobody said --wait
    timeout_s: float = ADMIN_S,  # of each question
) -> Result:
    """What `call` gets from the Admin port."""
    from router.client import AdminClient

    _check_target(server)
    tls = _tls()
    _started(server, usual_s=wait_s)

    async def asked() -> Result:
        async with AdminClient(
            server, timeout_s=timeout_s, token=os.environ.get(TOKEN, ""), tls=tls
        ) as client:
            return await call(client)

    with _errors_of(server, "the Admin service, at `admin_listen`"):
        return asyncio.run(asked())


def doubt_about(server: str, decision_id: str, tenant: str, said: Reported) -> str:
    """Why a report about a decision will hardly count, as the Admin port sees it; "" where it is silent, or refuses.

    `tenant`: as the report said; "" is the token's, or that of callers who name none.
    """
    from router.client import AdminClient, ApportionError
    from router.clients.errors import NotFound

    tls = _tls()
    whose = f" of tenant {tenant!r}" if tenant else ""
    unknown = f"no decision {decision_id!r}{whose} is known here: is its id right?"

    async def asked() -> str:
        async with AdminClient(server, timeout_s=LOOK_S, token=os.environ.get(TOKEN, ""), tls=tls) as client:
            try:
                found = await client.decision(decision_id)
            except NotFound:
                return unknown
            except ApportionError:
                return ""
        if tenant not in {"", found.tenant}:
            return unknown
        if said.duplicate or any(report.key == said.key for report in found.outcomes):
            return ""
        own = f"say --tenant {found.tenant}, or with [auth] use its token"
        return f"the decision is of tenant {found.tenant!r}, and this counts there alone: {own}"

    return asyncio.run(asked())


def _check_target(server: str) -> None:
    """An URL would be looked up as a host of that name; without a port it is 443, where only TLS is spoken."""
    bare = server.partition("://")[2] if server.startswith(("http://", "https://")) else server
    if bare != server or (":" not in server and _tls() is None):
        hint = f"; write {bare.rstrip('/')}" if ":" in bare else ""
        raise CommandFailed(f"--server: wants HOST:PORT, got {server!r}{hint}")
    port = bare.rpartition(":")[2]
    # else the system would take what is left beyond it
    if port.isdigit() and not 0 < int(port) <= MOST_PORTS:
        raise CommandFailed(f"--server: a port is from 1 to {MOST_PORTS}, got {server!r}")


def _started(server: str, most_s: float = math.inf, usual_s: float = WAIT_S) -> float:
    """Wait for a service that is just starting; seconds waited."""
    wait_s = min(float(os.environ.get(WAIT, usual_s)), most_s)
    return wait_until_it_listens(server, wait_s, lambda text: typer.echo(text, err=True))


def _tls() -> TLS | None:
    """What the options before the command, or their variables, say of TLS; None: it is not spoken."""
    from router.client import TLS

    ca, cert, key = (os.environ.get(name, "") for name in (CA, CERT, KEY))
    if bool(cert) != bool(key):
        raise CommandFailed("--cert and --key go together")
    return TLS(ca, cert, key) if ca or cert else None


@contextmanager
def _errors_of(server: str, wanted: str) -> Iterator[None]:
    """Errors of a client's calls as `CommandFailed`: SERVER: what went wrong; `wanted` is the service and its key."""
    from router.client import ApportionError, OutOfBudget, TooLate, Unavailable

    try:
        yield
    except Unavailable as error:
        hint = "" if error.reason else " (is `apportion serve` running there?)"
        if not error.reason and "http1.x server" in str(error):
            raise CommandFailed(
                f"{server}: HTTP is spoken there, not gRPC; this command asks {wanted}"
            ) from error
        refused = not error.reason and "Connection refused" in str(error)  # gRPC says it in three parts
        said = "nothing listens there" if refused else str(error)
        raise CommandFailed(f"{server}: {said}{hint}") from error
    except OutOfBudget as error:
        later = "" if error.retry_after_s is None else f"; it may fit in {span(round(error.retry_after_s))}"
        raise CommandFailed(f"{server}: {error}{later}") from error
    except TooLate as error:
        silent = "no answer in time; is it busy, or does something else listen there?"
        said = str(error) if error.reason else silent  # a reason comes from the service
        raise CommandFailed(f"{server}: {said}") from error
    except ApportionError as error:
        if error.status == "UNIMPLEMENTED":
            raise CommandFailed(f"{server}: another service is there; this command asks {wanted}") from error
        hint = f" (set {TOKEN} to your token)" if error.status == "UNAUTHENTICATED" else ""
        raise CommandFailed(f"{server}: {error}{hint}") from error
