"""Replay is the live allocator, and is blind to how things turned out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from router.config import AccountConfig, PriceConfig
from router.config_access import AuthConfig
from router.costs.backend_terms import priced_at
from router.errors import NoPlan, UnknownName
from router.recording import Recording
from router.recordings.format import RecordingMeta, write_recording
from router.rollout.releases import BundleState
from router.rollout.shelf import Shelf
from training.decision_rows import RowKey, answering_row, cost_of_samples
from training.decisions_file import read_decisions
from training.errors import TrainingError
from training.fit.from_recordings import fit
from training.fit.heads import fit_held_out
from training.fit.rows import rows_of
from training.menu import menu_of
from training.replay_run import as_rows, replay

pytestmark = pytest.mark.timeout(300)  # fits a bundle


@pytest.fixture(scope="module")
def folders(made: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A recording, the same without rewards and gold, and a bundle fitted on its first 150 queries."""
    root = tmp_path_factory.mktemp("replay")
    seen = made.write_pattern(root / "seen" / "pattern", 240, 4)
    blind = made.write_pattern(root / "blind" / "pattern", 240, 4, rewards=False)
    recording = Recording.load(seen)
    ids = [query.query_id for query in recording.queries[:150]]
    fit([recording], ids, menu_of(recording, seen), 0, root / "bundle")
    (root / "test.txt").write_text("\n".join(query.query_id for query in recording.queries[150:]))
    return seen, blind, root


def run(*arguments: str) -> dict[str, dict[str, dict[str, float]]]:
    done = subprocess.run(
        [sys.executable, "-m", "training", "replay", *arguments, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, dict[str, float]]] = json.loads(done.stdout)
    return found


def written(folders: tuple[Path, Path, Path], which: int, out: Path) -> bytes:
    root = folders[2]
    paths = (
        "--recording",
        str(folders[which]),
        "--bundle",
        str(root / "bundle"),
        "--queries",
        str(root / "test.txt"),
    )
    run(*paths, "--decisions", str(out), "--price", "0", "--price", "3000")
    return out.read_bytes()


def test_without_rewards_and_gold_the_decisions_are_bit_identical(
    folders: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    assert written(folders, 0, tmp_path / "a.parquet") == written(folders, 1, tmp_path / "b.parquet")


def test_every_query_is_decided_at_every_price(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    written(folders, 1, tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    points = set(zip(table["operating_point"].to_pylist(), table["query_id"].to_pylist(), strict=True))
    assert len(table) == len(points) == 180


def test_a_price_makes_it_cheaper(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    written(folders, 0, tmp_path / "a.parquet")
    recording = Recording.load(folders[0])
    free, dear = read_decisions(tmp_path / "a.parquet", {"pattern": recording})
    assert dear.cost.mean() < free.cost.mean()


def test_costs_are_those_of_the_samples(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    written(folders, 0, tmp_path / "a.parquet")
    recording = Recording.load(folders[0])
    for rows in read_decisions(tmp_path / "a.parquet", {"pattern": recording}):
        assert cost_of_samples(rows, recording).tolist() == rows.cost.tolist()


def test_what_is_learned_pays(folders: tuple[Path, Path, Path]) -> None:
    seen, _, root = folders
    recording = Recording.load(seen)
    ids = (root / "test.txt").read_text().split()
    config = menu_of(recording, seen, price=3000.0)
    from predictors.bundle_files import load_bundle

    found = replay(config, recording, ids, predictions=load_bundle(root / "bundle"))
    rows = as_rows(found, recording, config, RowKey("replay", "pattern", "a", 0, 0, "x"), "small")
    quality = recording.columns.reward[answering_row(rows, recording)].mean()
    large = recording.columns.cost[recording.columns.backend == recording.backends.index("large")].mean()
    assert quality > 0.8
    assert rows.cost.mean() < 0.8 * large


def test_rows_know_the_samples_in_order_and_the_plan_that_drew_them(
    folders: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    written(folders, 0, tmp_path / "a.parquet")
    for row in pq.read_table(tmp_path / "a.parquet").to_pylist():
        backends = [sample["backend"] for sample in row["samples"]]
        assert backends == sorted(backends, reverse=True)  # small comes before large in every plan
        assert dict(row["probabilities"])[row["plan"]] == 1.0
        assert dict(row["signals"])["p_small_wrong"] == pytest.approx(
            1 - dict(row["signals"])["p_correct/small"]
        )


def with_gaps(folder: Path, source: Path, gone: Callable[[int, str], bool]) -> Path:
    """The recording without the samples of some (number of the query, backend)."""
    samples = pq.read_table(source / "samples.parquet")
    rows = zip(samples["query_id"].to_pylist(), samples["backend"].to_pylist(), strict=True)
    kept = samples.filter(pa.array([not gone(int(query[1:]), backend) for query, backend in rows]))
    meta = RecordingMeta(name=folder.name, prices=Recording.load(source).meta.prices)
    write_recording(folder, meta, pq.read_table(source / "queries.parquet"), kept)
    return folder


def test_queries_on_which_no_plan_can_run_are_left_out_and_counted(
    folders: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    """Nothing came back for every fifth query, and only small for every fifth other one."""
    folder = with_gaps(
        tmp_path / "gaps", folders[0], lambda at, name: at % 5 == 0 or (at % 5 == 1 and name == "large")
    )
    recording = Recording.load(folder)
    ids = [f"q{number:04d}" for number in range(20)]
    found = replay(menu_of(recording, folder), recording, ids)
    assert [at.place for at in found] == [place for place in range(20) if place % 5]
    assert {at.decision.plan for at in found if at.place % 5 == 1} == {"small"}
    assert {sample.backend for at in found for sample in at.decision.samples} == {"small", "large"}
    (tmp_path / "ids.txt").write_text("\n".join(ids))
    said = run("--recording", str(folder), "--queries", str(tmp_path / "ids.txt"))["gaps"]["price=0"]
    assert (said["queries"], said["left_out"]) == (16, 4)
    with pytest.raises(NoPlan, match="does not allow backend 'small'"):
        replay(menu_of(recording, folder), recording, ["q0000", "q0005"])


def test_a_query_that_is_not_recorded_is_named(folders: tuple[Path, Path, Path]) -> None:
    recording = Recording.load(folders[0])
    with pytest.raises(UnknownName, match="nobody"):
        replay(menu_of(recording, folders[0]), recording, ["nobody"])


def test_a_backend_that_is_not_recorded_is_named(folders: tuple[Path, Path, Path]) -> None:
    recording = Recording.load(folders[0])
    menu = menu_of(recording, folders[0])
    renamed = msgspec.structs.replace(menu.backends["small"], recorded_as="tiny")
    config = msgspec.structs.replace(menu, backends={**menu.backends, "small": renamed})
    with pytest.raises(TrainingError, match="no backend 'tiny'; it has small, large"):
        replay(config, recording, ["q0000"])


def test_what_was_released_to_servers_and_their_budgets_and_tokens_do_not_decide(
    folders: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    recording = Recording.load(folders[0])
    ids = [query.query_id for query in recording.queries[150:170]]
    menu = msgspec.structs.replace(menu_of(recording, folders[0]), bundle=str(folders[2] / "bundle"))
    plain = replay(menu, recording, ids)
    shelf = Shelf(tmp_path / "bundles")
    other = fit_held_out(rows_of([recording], ids), 7).bundle
    shelf.add(other)
    shelf.keep(shelf.releases().promoted(other.version, BundleState.ACTIVE, at=1.0))
    served = msgspec.structs.replace(
        menu,
        bundles="bundles",
        budgets=(AccountConfig(name="each", tenants=("*",), amount=1e-6, window="day"),),
        auth=AuthConfig(tokens="not-here.toml"),
    )
    assert replay(served, recording, ids, base=tmp_path) == plain


def test_prices_by_date_are_those_of_now(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    recording = Recording.load(folders[0])
    menu = menu_of(recording, folders[0])
    dear = (PriceConfig(since="2025-01-01", price_out=1e6), PriceConfig(since="2999-01-01", price_out=1e9))
    large = msgspec.structs.replace(menu.backends["large"], prices=dear)
    config = msgspec.structs.replace(menu, backends={**menu.backends, "large": large})
    now = priced_at(config, 1_800_000_000.0)
    assert (now.backends["large"].price_out, now.backends["large"].prices) == (1e6, ())
    assert now.backends["small"] == config.backends["small"]
    assert priced_at(config, 0.0).backends["large"].price_out == menu.backends["large"].price_out
    ids = ["q0000"]
    cost = as_rows(
        replay(now, recording, ids), recording, now, RowKey("s", "r", "a", 0, 0, "p"), "small"
    ).cost
    assert cost[0] > 1.0
