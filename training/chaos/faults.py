"""The faults: a name, what it is, how long it lasts, what is done, and which answers other than success are meant."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from training.chaos.idle_clients import idle, slow_readers
from training.chaos.load import Load
from training.chaos.world import World

Do = Callable[[World, Load, float], Awaitable[None]]

GARBAGE = (
    "500",
    "html",
    "bad_json",
    "bad_utf8",
    "end_early",
    "error_event",
    "die_mid_stream",
    "429",
    "no_usage",
)
NOTHING = resource.RLIM_INFINITY


@dataclass(frozen=True, slots=True)
class Fault:
    """`do` it for `seconds`, under load. `lost` rows may be missing: those of a killed replica's last 50 ms."""

    name: str
    says: str
    do: Do
    seconds: float
    short_s: float
    lost: int = 0
    move: bool = False  # users may have to go to the other replica
    # at most, at p50, p90 and p99, over what it takes without
    added_s: tuple[float, float, float] = (1.0, 2.0, 3.0)


async def store_paused(world: World, _: Load, seconds: float) -> None:
    """SIGSTOP of every process of PostgreSQL."""
    family = world.postgres.pause()
    try:
        await asyncio.sleep(seconds)
    finally:
        world.postgres.go_on(family)


async def store_killed(world: World, _: Load, seconds: float) -> None:
    """kill -9 of every process of PostgreSQL; started again when the time is over."""
    await asyncio.to_thread(world.postgres.kill)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(world.postgres.start_again)


async def disk_full(world: World, load: Load, seconds: float) -> None:
    """No file of a replica may grow, neither its spool nor its log, while the store is paused."""
    for replica in world.replicas:
        resource.prlimit(replica.running.pid, resource.RLIMIT_FSIZE, (0, NOTHING))
    try:
        await store_paused(world, load, seconds)
    finally:
        for replica in world.replicas:
            resource.prlimit(replica.running.pid, resource.RLIMIT_FSIZE, (NOTHING, NOTHING))


async def backend_killed(world: World, _: Load, seconds: float) -> None:
    """One of the two servers of the backend `small` dies with streams running."""
    await asyncio.to_thread(world.models[0].kill)
    await asyncio.sleep(seconds)


async def backend_hangs(world: World, _: Load, seconds: float) -> None:
    """One of the two servers takes requests and says nothing, or stops in the middle."""
    await _faults(world, ("hang", "hang_mid_stream"), seconds)


async def backend_garbles(world: World, _: Load, seconds: float) -> None:
    """One of the two servers fails in every way it knows, one after the other."""
    await _faults(world, GARBAGE, seconds)


async def idle_connections(world: World, _: Load, seconds: float) -> None:
    """Two thousand connections to each replica that ask for nothing."""
    addresses = [one for replica in world.replicas for one in (replica.running.address, replica.running.http)]
    async with idle(addresses, 1000):
        await asyncio.sleep(seconds)


async def slow_streams(world: World, _: Load, seconds: float) -> None:
    """Readers that never read, twenty at each replica."""
    async with slow_readers([replica.running.http for replica in world.replicas], 20):
        await asyncio.sleep(seconds)


async def replica_killed(world: World, load: Load, seconds: float) -> None:
    """kill -9 of one of the two replicas; started again, on what it left, when the time is over."""
    world.replicas[0].kill()
    await asyncio.sleep(seconds)
    await asyncio.to_thread(world.replicas[0].start)
    load.connect_again(0)


async def replica_stopped(world: World, load: Load, seconds: float) -> None:
    """SIGTERM of one of the two replicas; started again when the time is over."""
    await asyncio.to_thread(world.replicas[0].stop)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(world.replicas[0].start)
    load.connect_again(0)


async def _faults(world: World, kinds: tuple[str, ...], seconds: float) -> None:
    """The next requests of the first server fail, as long as the time lasts."""
    clock = asyncio.get_running_loop().time
    ends, turn = clock() + seconds, 0
    while clock() < ends:
        await asyncio.to_thread(world.models[0].fault, kinds[turn % len(kinds)], 3)
        turn += 1
        await asyncio.sleep(0.3)
    await asyncio.to_thread(world.models[0].reset)


# That a server says nothing is known after 2 s without a first token, or 4 s without an end: the limits in world.py.
FAULTS = (
    Fault("store-paused", "PostgreSQL is stopped", store_paused, 90.0, 8.0),
    Fault("store-killed", "PostgreSQL dies and comes back", store_killed, 20.0, 3.0),
    Fault("disk-full", "no file may grow, and PostgreSQL is stopped", disk_full, 20.0, 8.0),
    Fault("backend-killed", "a model server dies with streams running", backend_killed, 20.0, 3.0),
    Fault(
        "backend-hangs",
        "a model server says nothing, or nothing more",
        backend_hangs,
        20.0,
        4.0,
        added_s=(1, 3, 6),
    ),
    Fault("backend-garbles", "a model server says what is no protocol", backend_garbles, 20.0, 4.0),
    Fault("idle-connections", "4,000 connections that ask for nothing", idle_connections, 20.0, 3.0),
    Fault("slow-readers", "40 streams that nobody reads", slow_streams, 20.0, 3.0),
    Fault("replica-killed", "kill -9 of a replica", replica_killed, 20.0, 3.0, lost=20, move=True),
    Fault("replica-stopped", "SIGTERM of a replica", replica_stopped, 20.0, 3.0, move=True),
)
