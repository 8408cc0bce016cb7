"""What handing out hidden states costs a vLLM server's throughput: `python -m training.states_cost`.

Servers of the same model on this machine, one plain, one per kind of states with our connector (value vectors out of
the KV cache; hidden states by speculation). Bursts of the same shape go to the plain one and another in turn, or to
both at once, so that whatever else the machine does falls on both. A connector is measured twice: with states that
nobody asks for, and with states asked for and read for every request. Per second, and per second of processor time
that a server's processes took, which is the same where it has one thread and the machine is its own, and the better
figure where it has not; side by side it is the only one, since who is behind has the machine alone in the end.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from predictors.vllm.asked import ask_params
from predictors.vllm.state_file import state_path, take_states
from training.collect.burst import burst
from training.errors import TrainingError
from training.vllm_cpu.server import ServerOptions, VllmServer

LATEST_S = 1.0  # after a burst, for its states
PLAIN, UNASKED, ASKED = "plain", "unasked", "asked"


def body_of(model: str, number: int, tokens: int) -> dict[str, Any]:
    """One request; every prompt differs."""
    words = " ".join(secrets.token_hex(2) for _ in range(24))
    return {
        "model": model,
        "messages": [{"role": "user", "content": f"{number}: {words}. Tell a story about it."}],
        "max_tokens": tokens,
        "temperature": 0.7,
        "ignore_eos": True,
        "stream": True,
    }


def processor_s(session: int) -> float:
    """What all living processes of a session have used of the processor so far."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended
        if int(fields[3]) == session:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def one_burst(server: VllmServer, bodies: list[dict[str, Any]]) -> tuple[float, float]:
    """Seconds it took, and seconds of processor time."""
    began, used = time.monotonic(), processor_s(server.session)
    await burst(server.url, bodies)
    return time.monotonic() - began, processor_s(server.session) - used


async def pair(
    servers: tuple[VllmServer, VllmServer],
    keys: list[str],
    requests: int,
    tokens: int,
    together: bool,
    swap: bool,
) -> list[tuple[float, float]]:
    """One burst to each of both, `swap`: the second first; it is asked for states where there are keys."""
    bodies = [[body_of(server.model, number, tokens) for number in range(requests)] for server in servers]
    for body, key in zip(bodies[1], keys, strict=False):
        body["kv_transfer_params"] = ask_params(key)
    both = [one_burst(server, asked) for server, asked in zip(servers, bodies, strict=True)]
    order = both[::-1] if swap else both
    seen = await asyncio.gather(*order) if together else [await one for one in order]
    return seen[::-1] if swap else seen


def measured(
    servers: dict[str, VllmServer], folder: Path, rounds: int, requests: int, tokens: int, together: bool
) -> dict[str, list[list[tuple[float, float]]]]:
    """Of every pair of bursts both servers' figures; by kind, `STATES_unasked` and `STATES_asked`."""
    kinds = [(name, how) for name in servers if name != PLAIN for how in (UNASKED, ASKED)]
    found: dict[str, list[list[tuple[float, float]]]] = {f"{name}_{how}": [] for name, how in kinds}
    for turn in range(rounds + 1):  # the first warms up
        for name, how in kinds if turn % 2 else reversed(kinds):
            keys = [secrets.token_hex(16) for _ in range(requests)] if how == ASKED else []
            seen = asyncio.run(
                pair((servers[PLAIN], servers[name]), keys, requests, tokens, together, turn % 4 > 1)
            )
            there = read([state_path(folder / name, "", key) for key in keys])
            if turn:
                found[f"{name}_{how}"].append(seen)
            took = ", ".join(f"{seconds:.1f} s ({used:.1f} of the processor)" for seconds, used in seen)
            states = f", {there} of {requests} states" if keys else ""
            print(f"plain, {name}_{how}: {took}{states}", file=sys.stderr, flush=True)
    return found


def read(paths: list[Path]) -> int:
    """How many states come; one is written in the step after its request's last, by a thread of its own."""
    until, missing = time.monotonic() + LATEST_S, paths
    while missing and time.monotonic() < until:
        missing = [path for path in missing if take_states(path) is None]
        time.sleep(0.01)
    return len(paths) - len(missing)


def cost(
    rounds: Annotated[int, typer.Option(min=2)] = 6,
    requests: Annotated[int, typer.Option(min=1, help="at once")] = 32,
    tokens: Annotated[int, typer.Option(min=1, help="of every answer")] = 32,
    layers: Annotated[str, typer.Option(help="with commas")] = "20",
    states: Annotated[str, typer.Option(help="values, hidden, or both with a comma")] = "values,hidden",
    threads: Annotated[int, typer.Option(min=0, help="of each server; 0: half of the cores")] = 0,
    together: Annotated[bool, typer.Option("--together", help="both bursts of a pair at once")] = False,
) -> None:
    """Print one JSON object: tokens per second, and ratios to the plain server's over the pairs."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))  # so that the servers go with us
    folder = Path(f"/dev/shm/apportion-cost-{secrets.token_hex(4)}")  # noqa: S108 (memory, our own name)
    chosen = tuple(int(layer) for layer in layers.split(","))
    plain = ServerOptions(start_s=900.0, kv_cache_gib=1, threads=threads)
    servers = {PLAIN: VllmServer("small", plain)}
    for name in states.split(","):
        given = {"folder": str(folder / name), "states": name}
        servers[name] = VllmServer("small", replace(plain, layers=chosen, states=given))
    try:
        for server in servers.values():
            server.start()
        found = measured(servers, folder, rounds, requests, tokens, together)
    finally:
        for server in servers.values():
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    units = ("per_s", "per_processor_s")[together:]
    print(
        json.dumps(
            {
                kind: {unit: figures(pairs, tokens * requests, unit) for unit in units}
                for kind, pairs in found.items()
            }
        )
    )


def figures(pairs: list[list[tuple[float, float]]], tokens: int, unit: str) -> dict[str, float]:
    """Medians of both servers, and their ratio: of the sums, and its median and quartiles over the pairs."""
    place = unit == "per_processor_s"
    plain, mine = ([tokens / burst[place] for burst in bursts] for bursts in zip(*pairs, strict=True))
    low, middle, high = statistics.quantiles([b / a for a, b in zip(plain, mine, strict=True)], n=4)
    whole = sum(pair[0][place] for pair in pairs) / sum(pair[1][place] for pair in pairs)
    found = {PLAIN: statistics.median(plain), "mine": statistics.median(mine), "ratio": whole}
    return found | {"median": middle, "lower_quartile": low, "upper_quartile": high}


def main() -> None:
    """Run the command by itself."""
    try:
        typer.run(cost)
    except TrainingError as error:
        print(f"states-cost: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
