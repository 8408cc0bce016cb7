"""`apportion demo-loop`: a service with a bad bundle learns from its own log, and again when backends are exchanged."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from router.client import Report
from router.recording import Recording
from router.rollout.shelf import Shelf
from training.demonstration.serve import serving
from training.errors import TrainingError
from training.loop_demo import summary
from training.loop_demo.prepare import SWAPPED, Stage, prepare
from training.loop_demo.score import Job, Result
from training.loop_demo.summary import History
from training.loop_demo.traffic import ask_round, report

# dollars are in the utility at their price; the guard would keep a bad bundle that is cheap
SPEND_GROWTH = "0.5"
# labels between two fits without an alarm: many small steps cannot be proved on a short log
LEAST_NEW = "2500"
HOUSE = Path(__file__).resolve().parents[1] / "recordings/house"


def demo_loop(
    recording: Annotated[Path, typer.Option(help="A recording with two backends and rewards.")] = HOUSE,
    out: Annotated[Path, typer.Option(help="Folder of the figures and the picture.")] = Path("demo-out"),
    rounds: Annotated[int, typer.Option(min=1, help="Before the backends are exchanged.")] = 6,
    rounds_after: Annotated[int, typer.Option(min=0, help="After it.")] = 3,
    queries: Annotated[int, typer.Option(min=10, help="Of each round.")] = 5000,
    feedback: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of decisions with an outcome.")
    ] = 0.3,
    wrong: Annotated[float, typer.Option(min=0.0, max=0.5, help="Share of outcomes that are wrong.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Of splits, traffic and feedback.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Serve a deliberately bad bundle, learn between rounds from feedback on 30 %, survive an exchange of backends.

    The service is a process of its own over recorded answers; `apportion cycle` runs between rounds in a process that
    cannot open the recording. Half of the outcomes come a round late, 5 % are wrong. What every bundle is worth is
    measured on queries that were never asked, by a process that runs when all is over.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="apportion-loop-") as folder:
        stage = prepare(recording, Path(folder), seed)
        history = _run(stage, (rounds, rounds_after), queries, (feedback, wrong), seed)
        result = _scored(stage, history, rounds)
        found = summary.figures(stage, history, result, rounds)
        found["seconds"] = round(time.monotonic() - began, 1)
    out.mkdir(parents=True, exist_ok=True)
    (out / "loop.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    summary.draw(found, out / "loop.png")
    print(json.dumps(found) if as_json else summary.text(found))
    if not as_json:
        print(
            f"\nPicture: {out / 'loop.png'}   Figures: {out / 'loop.json'}   {found['seconds']:.0f} s in all"
        )


def _run(
    stage: Stage, rounds: tuple[int, int], queries: int, feedback: tuple[float, float], seed: int
) -> History:
    """The rounds, with a cycle after each."""
    known, history = Recording.load(stage.whole, hidden=False), History()
    chance, late = random.Random(seed), list[Report]()
    with serving(stage.config, stage.folder / "server.log") as ports:
        for number in range(sum(rounds)):
            mark = "" if number < rounds[0] else SWAPPED
            ids = [chance.choice(stage.traffic) + mark for _ in range(queries)]
            done = ask_round(
                ports.router, known, ids, number, feedback=feedback[0], wrong=feedback[1], seed=seed
            )
            half = len(done.reports) // 2
            report(ports.router, [*late, *done.reports[:half]])
            late = list(done.reports[half:])
            history.rounds.append(done)
            history.cycles.append(cycle(stage))
            history.serving.append(Shelf(stage.service / "bundles").releases().active)
            _until_served(ports.admin, history.serving[-1])
            print(summary.line(number, done, history.cycles[-1]), file=sys.stderr, flush=True)
    return history


def cycle(stage: Stage) -> dict[str, Any]:
    """`apportion cycle` in a process that can open the service's folder, Python and our code, and nothing else."""
    command = (
        *(sys.executable, "-m", "training.loop_demo.confined", str(stage.service), "--", sys.executable),
        *("-m", "training", "cycle", "--config", str(stage.learning), "--canary", "0", "--json"),
        *("--spend-growth", SPEND_GROWTH, "--least-new", LEAST_NEW),
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (our own commands)
    if done.returncode:
        raise TrainingError(
            f"demo-loop: the cycle ended with code {done.returncode}: {done.stderr.strip()[-1500:]}"
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _until_served(admin: str, version: str) -> None:
    """Wait for the service to follow. Raises `TrainingError` where it does not within half a minute."""
    from router.clients.admin import SyncAdminClient

    with SyncAdminClient(admin) as client:
        for _ in range(300):
            if client.status().bundle == version:
                return
            time.sleep(0.1)
    raise TrainingError(f"demo-loop: the service did not follow to {version}")


def _scored(stage: Stage, history: History, rounds: int) -> Result:
    """What every bundle is worth in the world that it decided in, by a process that may see every reward."""
    shelf = Shelf(stage.service / "bundles")
    served = [stage.bad, *history.serving]
    bundles = {version: str(shelf.place(version)) for version in dict.fromkeys(served)}
    bundles |= {version: str(place) for version, place in stage.references.items()}
    before = list(dict.fromkeys([*served[: rounds + 1], stage.full]))
    after = (
        list(dict.fromkeys([*served[rounds:], stage.full_swapped])) if len(history.serving) > rounds else []
    )
    job = Job(str(stage.whole), str(stage.config), list(stage.held_out), bundles, before, after)
    paths = stage.folder / "job.json", stage.folder / "result.json"
    paths[0].write_bytes(msgspec.json.encode(job))
    command = (sys.executable, "-m", "training.loop_demo.score", *map(str, paths))
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (our own command)
    if done.returncode:
        raise TrainingError(
            f"demo-loop: scoring ended with code {done.returncode}: {done.stderr.strip()[-1500:]}"
        )
    return msgspec.json.decode(paths[1].read_bytes(), type=Result)
