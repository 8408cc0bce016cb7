"""`apportion report`: what the log alone says about spend, about what `apply` would save, and at what risk."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from router.commands.moments import period
from training.errors import TrainingError

if TYPE_CHECKING:
    from router.config import Config

CONFIG = Path("router.toml")


def report(
    since: Annotated[
        str,
        typer.Option(help="Rows from then on: 24h, 7d, 2026-01-01, 2026-01-01T12:00 (UTC). Default: all."),
    ] = "",
    until: Annotated[str, typer.Option(help="Rows before then, written the same way. Default: all.")] = "",
    store: Annotated[
        str | None,
        typer.Option(
            help="The decision store: a SQLite file, whose server may be running, or postgresql://…"
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="The configuration that names the store and the bundle."),
    ] = None,
    metric: Annotated[str, typer.Option(help="Which outcomes are rewards. Default: the most frequent.")] = "",
    label: Annotated[
        list[str] | None, typer.Option(help="NAME=REWARD in [0, 1] of a reported label; may be repeated.")
    ] = None,
    labelled: Annotated[
        int | None,
        typer.Option(
            min=1, help="Labelled queries that the bundle was fitted on. Default: as its card says."
        ),
    ] = None,
    by: Annotated[
        Literal["tenant", "plan", "bundle"] | None,
        typer.Option(help="A table by tenant, plan or bundle instead: decisions, cost, reward, latency."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a picture (PNG) there.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
) -> None:
    """Say from the log what was spent, what apply would have saved, and at what risk.

    Reads the store and nothing else; a server that owns it goes on undisturbed. Without --store and --config the
    configuration is ./router.toml. Predicted savings and quality differences come with intervals that hold, 95 times
    out of 100, what the next as many such queries realise. --json: money in $, `cost` in $ per 1,000 queries, savings
    in percent, quality differences in points, rewards and shares as fractions; {"skipped": "why"} where nothing can be
    said.
    """
    from training.report.facts import report as facts_of
    from training.report.observed import pick
    from training.report.rows import read_log
    from training.report.text import readable

    now_s = time.time()
    start, end = period(since, until, now_s)
    read = _configured(config, store)
    file = store if store is not None else _store_of(read, config or CONFIG)
    log = read_log(file, -math.inf if start is None else start, math.inf if end is None else end)
    if by:
        from training.report.groups import groups, in_words

        entries = groups(log, by, metric, labels_of(label or []))
        print(json.dumps({by: entries}, ensure_ascii=False) if as_json else in_words(entries, by))
        return
    fitted_on = labelled or _labelled(read, config or CONFIG, pick(log.rows).bundle)
    found = facts_of(log, metric=metric, labels=labels_of(label or []), labelled=fitted_on)
    print(json.dumps(found, ensure_ascii=False, allow_nan=False) if as_json else readable(found))
    if plot is not None:
        from training.report.plot import plot as plot_report

        plot_report(found, plot)


def labels_of(texts: list[str]) -> dict[str, float]:
    """["good=1", "bad=0"] as label -> reward. Raises `TrainingError` for anything but NAME=REWARD in [0, 1]."""
    labels: dict[str, float] = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        try:
            reward = float(value)
        except ValueError:
            reward = math.nan
        if not name or not 0 <= reward <= 1:
            raise TrainingError(f"--label: {text!r} is not NAME=REWARD with a reward from 0 to 1")
        labels[name] = reward
    return labels


def _configured(config: Path | None, store: str | None) -> Config | None:
    """The configuration, where one is named or needed."""
    if config is None and (store is not None or not CONFIG.is_file()):
        return None
    from router.configuration.file import load

    return load(config or CONFIG)


def _store_of(config: Config | None, path: Path) -> str:
    if config is None:
        raise TrainingError(
            f"there is no {CONFIG} here; name the store (--store) or a configuration (--config)"
        )
    if config.store.postgres:
        return config.store.postgres
    if config.store.sqlite == ":memory:":
        raise TrainingError(
            f'{path}: its store keeps nothing ([store] sqlite = ":memory:"); name a file there'
        )
    return str(path.parent / config.store.sqlite)


def _labelled(config: Config | None, path: Path, version: str) -> float:
    """How many labelled queries the bundle `version` was fitted on, by its card; infinity where that is not known."""
    if config is None or not version:
        return math.inf
    from predictors.card import BundleCard
    from predictors.errors import BundleError

    promoted = f"{config.bundles}/{version}" if config.bundles else ""
    for folder in filter(None, (config.bundle, promoted)):
        try:
            card = BundleCard.from_json(json.loads((path.parent / folder / "card.json").read_bytes()))
        except (OSError, ValueError, BundleError):
            continue
        count = card.counts.get("queries", 0.0) - card.counts.get("queries_without_any_reward", 0.0)
        if card.version == version and count > 0:
            return count
    return math.inf  # the report is about the log; it says that the fit's own error is left out
