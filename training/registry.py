"""MLflow: a run per fit, a version per bundle, an alias for what serves. The one file that knows it.

`sqlite:///FILE` is a store on this machine, a URL a server. Nothing that serves waits for it or reads it: a registry
that is away costs the entry of one cycle and is told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.cycle.journal import Cycle

EXPERIMENT = "apportion"
MODEL = "apportion-bundle"
SERVING, TRYING = "active", "canary"  # aliases


def registered(address: str, cycle: Cycle, bundles: Path) -> str:
    """Write down what a cycle fitted, found and promoted; what became of it, in words. Never raises for a registry.

    Registering the same cycle again changes nothing.
    """
    stages = cycle.stages
    fitted, verdict = stages.get("fit") or {}, stages.get("evaluate") or {}
    if not fitted.get("version"):
        return "nothing was fitted"
    try:
        with _registry(address) as client:
            run = _run_of(client, address, fitted["version"])
            if run is None:
                run = _logged(client, address, cycle, bundles / fitted["version"])
            number = _version(client, run, fitted["version"])
            promoted = stages.get("promote")
            if promoted:
                alias = SERVING if promoted["to"] == "active" else TRYING
                client.set_registered_model_alias(MODEL, alias, number)
            canary = stages.get("canary") or {}
            if canary.get("call") == "promote":
                _move(client, canary["version"])
            return f"{MODEL} version {number}: {verdict.get('why', 'not judged')}"
    except Exception as error:  # noqa: BLE001 (a library with errors of a dozen others; nothing depends on it)
        return f"not registered, and nothing that serves needs it: {type(error).__name__}: {error}"


@contextmanager
def _registry(address: str) -> Iterator[Any]:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=address, registry_uri=address)
    yield client


def _experiment(client: Any, address: str) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    place = None
    if address.startswith("sqlite:///"):  # artefacts beside the file, not where the command happens to run
        place = (Path(address.removeprefix("sqlite:///")).resolve().parent / "artifacts").as_uri()
    return str(client.create_experiment(EXPERIMENT, artifact_location=place))


def _run_of(client: Any, address: str, version: str) -> str | None:
    """The run of a bundle that was logged to its end."""
    wanted = f"tags.bundle = '{version}' and attributes.status = 'FINISHED'"
    found = client.search_runs([_experiment(client, address)], wanted, max_results=1)
    return found[0].info.run_id if found else None


def _logged(client: Any, address: str, cycle: Cycle, folder: Path) -> str:
    """A new run with parameters, figures, plot and the bundle's files."""
    import json

    fitted, verdict = cycle.stages["fit"], cycle.stages.get("evaluate") or {}
    tags = {"bundle": fitted["version"], "cycle": str(cycle.number)}
    run = client.create_run(_experiment(client, address), tags=tags, run_name=f"cycle-{cycle.number}")
    name: str = run.info.run_id
    for key in ("rows", "cap", "labelled", "since"):
        client.log_param(name, key, fitted[key])
    figures: dict[str, float] = dict(json.loads((folder / "card.json").read_text("utf-8"))["metrics"])
    for what in ("gain", "quality", "cost"):
        for side, value in (verdict.get(what) or {}).items():
            figures[f"{what}/{side}"] = value
    for key in ("level", "effective", "unsupported"):
        if key in verdict:
            figures[key] = verdict[key]
    for key, value in figures.items():
        if math.isfinite(value):
            client.log_metric(name, key, value)
    client.log_dict(name, dict(cycle.stages), "cycle.json")
    if verdict.get("gain"):
        client.log_figure(name, _plot(verdict), "verdict.png")
    client.log_artifacts(name, str(folder), "bundle")
    client.set_terminated(name, "FINISHED")
    return name


def _version(client: Any, run: str, version: str) -> str:
    """The number of a bundle's version in the registry, made where it is not there."""
    if not client.search_registered_models(f"name = '{MODEL}'"):
        client.create_registered_model(MODEL)
    for one in client.search_model_versions(f"name = '{MODEL}'"):
        if one.tags.get("bundle") == version:
            return str(one.version)
    source = f"{client.get_run(run).info.artifact_uri}/bundle"
    made = client.create_model_version(MODEL, source, run, tags={"bundle": version})
    return str(made.version)


def _move(client: Any, version: str) -> None:
    for one in client.search_model_versions(f"name = '{MODEL}'"):
        if one.tags.get("bundle") == version:
            client.set_registered_model_alias(MODEL, SERVING, one.version)


def _plot(verdict: Mapping[str, Any]) -> Any:
    """The gain with its interval, and what it is made of."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 2.4), dpi=120)
    axes = figure.subplots()
    for place, what in enumerate(("quality", "gain")):
        found = verdict[what]
        width = [[found["mean"] - found["low"]], [found["high"] - found["mean"]]]
        axes.errorbar(found["mean"], place, xerr=width, fmt="o", color="#3a6ea5", capsize=4)
    axes.axvline(0.0, color="#22313f", linewidth=1)
    axes.set_yticks((0, 1), ("quality", "utility"))
    axes.set_xlabel("candidate - incumbent, on decisions that it was not fitted on")
    figure.tight_layout()
    return figure
