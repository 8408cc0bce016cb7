"""What handing out hidden states costs a vLLM server's throughput: `python -m training.states_cost`.

Servers of the same model on this machine, one plain, one per kind of states with our connector (value vectors out of
the KV cache; hidden states by speculation); bursts of the same shape go to them in turn, so that whatever else the
machine does falls on all. A connector is measured twice: with states that nobody asks for, and with states asked for
and read for every request. Per second, and per second of processor time that the server's processes took: the second
hardly sees what else the machine does, and is the same where a server has one thread and the machine is its own.
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
from training.collect_burst import burst
from training.errors import TrainingError
from training.vllm_cpu.server import ServerOptions, VllmServer

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


def measured(
    servers: dict[str, VllmServer], folder: Path, rounds: int, requests: int, tokens: int
) -> dict[str, list[tuple[float, float]]]:
    """Tokens per second and per second of processor time of every burst, by kind.

    Kinds: `plain`, and `STATES_unasked` and `STATES_asked` of all others.
    """
    turns = {(PLAIN, PLAIN): PLAIN} | {
        (name, how): f"{name}_{how}" for name in servers if name != PLAIN for how in (UNASKED, ASKED)
    }
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in turns.values()}
    for turn in range(rounds + 1):  # the first warms up
        for (name, how), kind in turns.items() if turn % 2 else reversed(turns.items()):
            server = servers[name]
            keys = [secrets.token_hex(16) for _ in range(requests)] if how == ASKED else []
            bodies = [body_of(server.model, number, tokens) for number in range(requests)]
            for body, key in zip(bodies, keys, strict=False):
                body["kv_transfer_params"] = ask_params(key)
            began, used = time.monotonic(), processor_s(server.session)
            asyncio.run(burst(server.url, bodies))
            took, used = time.monotonic() - began, processor_s(server.session) - used
            there = sum(take_states(state_path(folder / name, "", key)) is not None for key in keys)
            if turn:
                found[kind].append((requests * tokens / took, requests * tokens / used))
            states = f", {there} of {requests} states" if keys else ""
            print(f"{kind}: {took:.1f} s, {used:.1f} of the processor{states}", file=sys.stderr, flush=True)
    return found


def cost(
    rounds: Annotated[int, typer.Option(min=2)] = 6,
    requests: Annotated[int, typer.Option(min=1, help="at once")] = 32,
    tokens: Annotated[int, typer.Option(min=1, help="of every answer")] = 32,
    layers: Annotated[str, typer.Option(help="with commas")] = "20",
    states: Annotated[str, typer.Option(help="values, hidden, or both with a comma")] = "values,hidden",
    threads: Annotated[int, typer.Option(min=0, help="of each server; 0: half of the cores")] = 0,
) -> None:
    """Print one JSON object: speeds, and ratios to the plain server, median and quartiles over the bursts."""
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
        found = measured(servers, folder, rounds, requests, tokens)
    finally:
        for server in servers.values():
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    said: dict[str, Any] = {}
    for place, unit in enumerate(("per_s", "per_processor_s")):
        speeds = {kind: [burst[place] for burst in bursts] for kind, bursts in found.items()}
        said[unit] = {kind: statistics.median(all_of_them) for kind, all_of_them in speeds.items()}
        for kind in speeds.keys() - {PLAIN}:
            ratios = [mine / theirs for mine, theirs in zip(speeds[kind], speeds[PLAIN], strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            said[unit][f"{kind}/{PLAIN}"] = {"median": middle, "lower_quartile": low, "upper_quartile": high}
    print(json.dumps(said))


def main() -> None:
    """Run the command by itself."""
    try:
        typer.run(cost)
    except TrainingError as error:
        print(f"states-cost: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
