"""A real MLflow store in SQLite holds what a cycle did; one that is away costs nothing but a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from predictors.bundle_files import save_bundle
from predictors.observation import Sample
from training.cycle.journal import Cycle
from training.fit.heads import fit_held_out
from training.fit.rows import FitRows, LabelledSample
from training.registry import EXPERIMENT, MODEL, registered

pytestmark = pytest.mark.filterwarnings("ignore")  # of MLflow and what it brings along


def fitted(folder: Path) -> str:
    texts = tuple(f"question {number}" for number in range(20))
    reward = np.array([[float(number % 2)] for number in range(20)])
    blank = np.full((20, 1), np.nan)
    samples = tuple(
        LabelledSample(at, Sample(f"{at}", "small", "4", answer="4", tokens_out=3), float(at % 2))
        for at in range(20)
    )
    rows = FitRows(texts, ("small",), reward, blank, blank + 3, np.zeros((20, 1), dtype=np.bool_), samples)
    bundle = fit_held_out(rows, 0).bundle
    save_bundle(bundle, folder / bundle.version)
    return bundle.version


def cycle_of(version: str, to: str) -> Cycle:
    interval = {"mean": 0.1, "low": 0.02, "high": 0.18}
    stages = {
        "fit": {"version": version, "rows": 20, "cap": 200_000, "labelled": 20, "since": 0.0},
        "evaluate": {"promote": True, "why": "gain +0.1", "gain": interval, "quality": interval},
        "promote": {"version": version, "to": to, "share": 1.0},
    }
    return Cycle(3, 0.0, stages)


def test_a_cycle_becomes_a_run_with_figures_plot_files_a_version_and_an_alias(tmp_path):
    import mlflow

    version = fitted(tmp_path / "bundles")
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    cycle = cycle_of(version, "active")
    assert registered(address, cycle, tmp_path / "bundles") == f"{MODEL} version 1: gain +0.1"
    assert registered(address, cycle, tmp_path / "bundles") == f"{MODEL} version 1: gain +0.1"
    client = mlflow.MlflowClient(address, address)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 1
    assert runs[0].data.metrics["gain/low"] == 0.02
    assert runs[0].data.params["rows"] == "20"
    files = {item.path for item in client.list_artifacts(runs[0].info.run_id)}
    assert files == {"bundle", "cycle.json", "verdict.png"}
    named = client.get_model_version_by_alias(MODEL, "active")
    assert (str(named.version), named.tags["bundle"]) == ("1", version)


def test_a_registry_that_is_away_is_told_and_nothing_is_raised(tmp_path):
    version = fitted(tmp_path / "bundles")
    (tmp_path / "file").write_text("")
    said = registered(
        f"sqlite:///{tmp_path / 'file' / 'no.db'}", cycle_of(version, "active"), tmp_path / "bundles"
    )
    assert said.startswith("not registered, and nothing that serves needs it")
