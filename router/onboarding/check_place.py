"""Whether this machine can serve a configuration: ports, store, bundle, recordings. Changes nothing of them."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from predictors.errors import PredictorError
from router.assemble_parts import load_predictions
from router.config import Config
from router.domain.plan import Plan
from router.errors import RouterError
from router.onboarding.checkup import Finding, note, ok, problem

PORTS = ("listen", "admin_listen", "http_listen", "health_listen")
SQLITE = b"SQLite format 3\0"  # how every such file begins


def check_place(config: Config, plans: Mapping[str, Plan], folder: Path) -> Iterator[Finding]:
    """`folder` is where the configuration is."""
    service = running(config, folder)
    yield from check_ports(config, service)
    yield from check_store(config, folder, service)
    yield from check_bundle(config, plans, folder)
    yield from check_recordings(config, folder)


def check_ports(config: Config, owner: str) -> Iterator[Finding]:
    """Whether the addresses can be bound now, or are the service's, whose process is `owner`; "": none runs."""
    for key in PORTS:
        address: str = getattr(config.server, key)
        if not address:
            continue
        about = f"server.{key}"
        error = _taken(address)
        if error is None:
            free = int(address.rpartition(":")[2])
            yield ok(about, f"{address} is free" if free else f"{address}: any free port")
        elif owner and error.errno == errno.EADDRINUSE:
            yield ok(about, f"{address} is taken: the service runs (process {owner})")
        else:
            text = f"cannot listen on {address}: {error.strerror or error}; is a service running there?"
            yield problem(about, text)


def running(config: Config, folder: Path) -> str:
    """The process of a service of this configuration, "" where none is seen.

    Inferred: somebody has its store open and a port of its is taken. An owner without a taken port is another service
    on the same store.
    """
    owner = "" if config.store.sqlite == ":memory:" else _owner(folder / config.store.sqlite)
    if not owner:
        return ""
    errors = [_taken(address) for key in PORTS if (address := getattr(config.server, key))]
    return owner if any(error is not None and error.errno == errno.EADDRINUSE for error in errors) else ""


def check_store(config: Config, folder: Path, service: str) -> Iterator[Finding]:
    """Whether the store's file can be written, is a store, and belongs to nobody now or to `service`."""
    if config.store.sqlite == ":memory:":
        yield note(
            "store", "decisions and outcomes are kept in memory only: nothing can be learned from them"
        )
        return
    path = folder / config.store.sqlite
    writable = os.access(path if path.exists() else path.parent, os.W_OK)
    if not path.parent.is_dir():
        yield problem("store", f"there is no folder {path.parent}")
    elif not writable or not os.access(path.parent, os.W_OK):  # SQLite makes its journal beside the file
        yield problem("store", f"{path}: this user may not write it")
    elif path.exists() and not _is_store(path):
        yield problem("store", f"{path} is no SQLite file")
    else:
        owner = _owner(path)
        if owner and owner == service:
            yield ok("store", f"{path}: the service runs (process {owner} has it open)")
        elif owner:
            yield problem("store", f"{path}: process {owner} has it open; one process owns one file")
        else:
            yield ok(
                "store", f"{path} can be written" + ("" if path.exists() else " (it is made at the start)")
            )


def check_bundle(config: Config, plans: Mapping[str, Plan], folder: Path) -> Iterator[Finding]:
    """Whether what was learned fits what is configured."""
    if not config.bundle:
        yield note("bundle", "none: plans are chosen untrained, by what a sample says of itself")
        return
    try:
        predictions, unknown = load_predictions(config, folder, plans)
    except (PredictorError, RouterError, OSError) as error:
        yield problem("bundle", str(error))
        return
    for text in unknown:
        yield problem("bundle", f"{text}; it is served untrained")
    if not unknown:
        yield ok("bundle", f"{predictions.version or config.bundle} knows every backend and plan")


def check_recordings(config: Config, folder: Path) -> Iterator[Finding]:
    """Whether the recordings behind recorded backends can be read to their end."""
    from router.recording import Recording

    read: dict[str, Finding | Recording] = {}
    for name, backend in config.backends.items():
        if backend.kind != "recorded":
            continue
        about = f"backends.{name}"
        if backend.recording not in read:
            try:
                read[backend.recording] = Recording.load(folder / backend.recording, hidden=False)
            except (RouterError, OSError) as error:
                read[backend.recording] = problem(about, str(error))
        found = read[backend.recording]
        if isinstance(found, Finding):
            yield problem(about, found.text)
        else:
            samples = len(found.columns.backend)
            yield ok(about, f"recording {backend.recording}: {len(found.queries)} queries, {samples} samples")


def _taken(address: str) -> OSError | None:
    """Why the address cannot be bound now."""
    host, _, port = address.rpartition(":")
    try:
        family, _, _, _, place = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: not what lingers
            probe.bind(place)
            probe.listen(1)
    except OSError as error:
        return error
    return None


def _is_store(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(len(SQLITE))
    return head in (b"", SQLITE)


def _owner(path: Path) -> str:
    """The process that has the store open (see `router.decisions.owner`), "" where nobody has."""
    lock = path.with_name(path.name + ".owner")
    try:
        with lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read(32).partition(b"\n")[0].decode(errors="replace") or "(unknown)"
    except OSError:  # there is no such file: nobody has ever had it
        return ""
    return ""
