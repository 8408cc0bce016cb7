"""`apportion fit`: learn a bundle from recordings."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from training.errors import NotEnoughData, TrainingError

if TYPE_CHECKING:
    from predictors.card import BundleCard
    from router.config import Config
    from router.recording import Recording


def fit(
    recording: Annotated[
        list[Path], typer.Option("--recording", help="A recording's folder; may be repeated.")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="The bundle's folder; a bundle that is there is replaced.")
    ],
    queries: Annotated[
        Path | None, typer.Option("--queries", help="Query ids to fit on, one a line; default: all.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="router.toml: its backends, and plans to fit heads for. Default: a menu made from the recording.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of folds and learners.")] = 0,
    with_outlook: Annotated[
        bool,
        typer.Option(
            "--outlook/--no-outlook",
            help="Say what it would have saved, by fitting on parts and trying the rest.",
        ),
    ] = True,
    curve: Annotated[
        bool | None,
        typer.Option(
            "--curve/--no-curve",
            help="What more labels bring. Default: where there are at most 1,000 labels.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the bundle's card as JSON, with `outlook` in it.")
    ] = False,
) -> None:
    """Learn from recordings: how likely each backend is right, what it costs, what each plan would give.

    Ends with what you would have saved, at what risk, and what more labels would bring: from bundles fitted on parts
    of the labelled queries and tried on the others.

    Reads only the queries that are named, and never their `task` or `gold`. Samples without a reward are skipped and
    counted. Without --config the plans are those of a menu made from the recording, the same that `replay` makes; with
    several recordings, no plans.
    """
    from predictors.bundle_files import check_place
    from router.configuration.file import load
    from router.costs.backend_terms import priced_at
    from router.recording import Recording
    from training.fit.from_recordings import fit as fit_recordings
    from training.menu import menu_of

    check_place(out)  # before minutes of work
    ids = None if queries is None else read_ids(queries)
    recordings = [Recording.load(folder, hidden=False) for folder in recording]
    settings = None if config is None else priced_at(load(config), time.time())
    if settings is None and len(recordings) == 1:
        settings = menu_of(recordings[0], recording[0])
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    card = fit_recordings(recordings, ids, settings, seed, out, created=created)
    said = _outlook(recordings, ids, settings, seed, curve=curve) if with_outlook else None
    if as_json:
        outlook = {} if said is None else {"outlook": {"skipped": said} if isinstance(said, str) else said[0]}
        print(json.dumps({**card.to_json(), **outlook}, ensure_ascii=False))
        return
    print(f"{out}: bundle {card.version} of {', '.join(card.backends)}")
    for name, count in sorted(card.counts.items()):
        print(f"  {name.replace('_', ' ')}: {count:g}")
    print(
        f"held out (in full: {out}/card.json; brier_skill: 1 is certain and right, 0 no better than the mean;"
    )
    print("  ece: by how much probabilities are off on average):")
    for name, value in told(card.metrics):
        print(f"  {name}: {value:.3f}")
    for line in own_heads(card):
        print(line)
    if card.rho_from_prior:
        print(f"seen once per query, so that repeats are a guess: {', '.join(card.rho_from_prior)}")
    if said is not None:
        print("\n" + (f"What you would have saved: not known: {said}" if isinstance(said, str) else said[1]))


def told(metrics: Mapping[str, float]) -> list[tuple[str, float]]:
    """The figures that say how well it predicts, by name; what its parts are good for stays in the card."""
    return [
        (name, value)
        for name, value in sorted(metrics.items())
        if "_without_" not in name and not name.startswith("log_loss/")
    ]


def _outlook(
    recordings: Sequence[Recording],
    ids: Sequence[str] | None,
    settings: Config | None,
    seed: int,
    *,
    curve: bool | None,
) -> tuple[dict[str, Any], str] | str:
    """The outlook as JSON types and as text, or why there is none."""
    from training.outlook.outlook import outlook
    from training.outlook.text import outlook_json, outlook_text
    from training.progress import shown_progress

    if settings is None:
        return "several recordings have no plans in common: name a configuration with --config"
    try:
        with shown_progress() as progress:
            found = outlook(recordings, ids, settings, seed, curve=curve, progress=progress)
    except NotEnoughData as reason:
        return str(reason)
    return outlook_json(found), outlook_text(found)


def own_heads(card: BundleCard) -> Iterator[str]:
    """Which backends' answers are judged by a head of their own, and by how much better; a line each."""
    for backend in card.own_sample_heads:
        own, shared = (card.metrics[f"brier_skill/sample_{kind}/{backend}"] for kind in ("own", "shared"))
        yield f"a head of its own judges {backend}: Brier skill {own:.3f}; the shared one: {shared:.3f}"


def read_ids(path: Path) -> list[str]:
    """Query ids, one a line; blank lines are left out, repeats kept once. Raises `TrainingError` for none."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise TrainingError(f"{path}: is no list of query ids: no UTF-8: {error}") from error
    ids = list(dict.fromkeys(line for line in lines if line.strip()))
    if not ids:
        raise TrainingError(f"{path} names no query; one id a line is expected")
    return ids
