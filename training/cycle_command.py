"""`apportion cycle`: from what was logged to a better bundle that serves; to be run as often as one likes."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from training.cycle.journal import Cycle


def cycle(
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration.")] = Path("router.toml"),
    store: Annotated[str, typer.Option(help="The decision store. Default: the configuration's.")] = "",
    work: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the journal and the exported log. Default: cycle, beside the configuration."
        ),
    ] = None,
    cap: Annotated[
        int, typer.Option(min=100, help="Decisions that a fit reads, evenly over the actions.")
    ] = 200_000,
    least_new: Annotated[
        int, typer.Option(min=1, help="Fit from so many new labels on, or on an alarm.")
    ] = 100,
    margin: Annotated[float, typer.Option(help="Of utility, that a candidate must be better by.")] = 0.0,
    alpha: Annotated[
        float, typer.Option(min=1e-6, max=0.5, help="Of ever promoting what is not better.")
    ] = 0.1,
    spend_growth: Annotated[
        float, typer.Option(min=0.0, help="Of the dollars per query, that a candidate may cost more.")
    ] = 0.05,
    canary: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Share of traffic that tries a promoted bundle first; 0: all at once."
        ),
    ] = 0.05,
    registry: Annotated[
        str, typer.Option(help="MLflow: sqlite:///FILE or a server's URL. Default: nothing is registered.")
    ] = "",
    recalibrate: Annotated[
        bool,
        typer.Option("--recalibrate", help="Fit nothing: mend the curves of what serves, and test that."),
    ] = False,
    signing_key: Annotated[
        Path | None,
        typer.Option(
            help="PEM with the private Ed25519 key that candidates are signed with, for services with bundle_signers."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would do; nothing that serves is changed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Export, look for drift, fit, evaluate on held-out decisions, promote; goes on where it was killed.

    Reads the log and the configuration alone. A candidate is promoted where the lower bound of its gain is above the
    margin and no guard fails; every replica swaps within a second or two. A running canary is looked at first.
    """
    from router.commands.store import address_of
    from router.configuration.file import load
    from training.cycle.journal import Journal
    from training.cycle.run import Place, Wishes, run_cycle

    settings, base = load(config), config.parent
    folder = work or base / "cycle"
    if settings.bundle_signers and signing_key is None:
        unsigned = "bundle_signers wants signatures, and without --signing-key what is promoted is refused"
        print(f"{config}: {unsigned} until `apportion bundles sign` signs it", file=sys.stderr)
    wishes = Wishes(
        cap, least_new, margin, alpha, canary, spend_growth, recalibrate=recalibrate, dry_run=dry_run,
        signing_key=signing_key, workers=os.cpu_count() or 1,
    )  # fmt: skip
    with ExitStack() as stack:
        if dry_run:
            real, folder = folder, Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cycle-")))
            Journal(folder).begin_from(Journal(real).read())
        place = Place(settings, base, store or address_of(settings, base), folder)
        done = run_cycle(place, wishes, time.time)
    said: dict[str, Any] = {
        "cycle": done.number,
        "seconds": round((done.ended_at or 0) - done.began_at, 3),
        "took": done.took,
        **done.stages,
    }
    if registry and not dry_run:
        from training.registry import registered

        said["registry"] = registered(registry, done, base / settings.bundles)
    if as_json:
        print(json.dumps(said, ensure_ascii=False))
        return
    print("\n".join(told(done)))
    if "registry" in said:
        print(f"registry: {said['registry']}")


def told(done: Cycle) -> list[str]:
    """A cycle in words, a line each."""
    stages, lines = done.stages, [f"cycle {done.number}"]
    export = stages.get("export", {})
    if export:
        lines.append(
            f"export: {export['decisions']} decisions and {export['outcomes']} outcomes more, "
            f"{export['total_decisions']} and {export['total_outcomes']} in all"
        )
    if stages.get("canary"):
        lines.append(
            f"canary {stages['canary']['version']}: {stages['canary']['call']}, {stages['canary']['why']}"
        )
    drift = stages.get("drift", {})
    lines += [
        f"drift: backend {one['backend']} earns {one['after'] - one['before']:+.3f} since "
        f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(one['at']))} UTC (p = {one['p_value']:.4f})"
        for one in drift.get("changes", ())
    ]
    lines += [
        f"calibration: plan {one['plan']} earns {one['earned']:.3f} where {one['expected']:.3f} was expected"
        for one in drift.get("calibration", ())
    ]
    fitted = stages.get("fit")
    if fitted is not None and fitted["version"]:
        rows = f"{fitted['rows']} of {fitted['labelled']} labelled decisions (cap {fitted['cap']})"
        lines.append(f"fit: {fitted['version']} on {rows}")
    elif fitted is not None:
        lines.append(f"fit: nothing new: {fitted['why']}")
    if "evaluate" in stages:
        lines.append(
            f"evaluate: {stages['evaluate']['why']} ({stages['evaluate']['rows']} held-out decisions)"
        )
    if "promote" in stages:
        lines.append(f"promote: {stages['promote']['version']} is {stages['promote']['to']}")
    return lines
