"""Parts of the check-up that no stub can show: clocks, and bundles that know other plans."""

from __future__ import annotations

import json

import pytest

from router.config import BackendConfig
from router.configuration.build_plans import build_plans
from router.configuration.file import load
from router.onboarding.check_backend import check_identity
from router.onboarding.check_place import check_bundle
from router.onboarding.checkup import Finding, Health
from router.onboarding.findings import Identity
from router.recording import Recording
from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording
from training.fit.from_recordings import fit


@pytest.mark.parametrize(("ahead_s", "words"), [(60.0, "60 s ahead of"), (-60.0, "60 s behind")])
def test_a_clock_that_is_off_is_a_problem(ahead_s, words):
    who = Identity("small", "http://h:1", "m", ("m",), clock_ahead_s=ahead_s)
    found = [
        one for one in check_identity("backends.small", who, BackendConfig()) if one.health is Health.PROBLEM
    ]
    assert [words in one.text for one in found] == [True]


@pytest.mark.parametrize("ahead_s", [None, 1.0, -4.0])
def test_a_clock_within_seconds_is_none(ahead_s):
    who = Identity("small", "http://h:1", "m", ("m",), clock_ahead_s=ahead_s)
    assert all(one.health is Health.OK for one in check_identity("backends.small", who, BackendConfig()))


TOML = """
bundle = "bundle"
[backends.small]
kind = "scripted"
[backends.large]
kind = "scripted"
[[plans]]
name = "small"
stages = [{ backend = "small" }]
[[plans]]
name = "large"
stages = [{ backend = "large" }]
"""


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A folder with a configuration and the bundle that was fitted on it."""
    import pyarrow as pa

    folder = tmp_path_factory.mktemp("fitted")
    (folder / "router.toml").write_text(TOML)
    queries = [{"query_id": f"q{n}", "query": f"What is {n} + {n % 7}?"} for n in range(60)]
    samples = [
        {
            "query_id": f"q{n}",
            "backend": backend,
            "sample_idx": 0,
            "text": "answer: 4",
            "reward": float(n % 3 > 0 or backend == "large"),
            "tokens_out": 12,
        }
        for n in range(60)
        for backend in ("small", "large")
    ]
    meta = RecordingMeta("sums", {"small": Prices(1.0, 1.0), "large": Prices(2.0, 2.0)})
    write_recording(folder / "recording", meta, pa.Table.from_pylist(queries), pa.Table.from_pylist(samples))
    ids = [query["query_id"] for query in queries]
    fit([Recording.load(folder / "recording")], ids, None, 0, folder / "bundle")
    return folder


@pytest.fixture
def bundle_of(fitted):
    """What is found about the bundle under a changed configuration."""

    def check(text: str) -> list[Finding]:
        (fitted / "changed.toml").write_text(text)
        config = load(fitted / "changed.toml")
        return list(check_bundle(config, build_plans(config), fitted))

    return check


def test_a_bundle_that_knows_everything_is_fine(bundle_of):
    assert [one.health for one in bundle_of(TOML)] == [Health.OK]


def test_a_backend_that_the_bundle_does_not_know_is_a_problem_in_words(bundle_of):
    (found,) = bundle_of(TOML + '[backends.huge]\nkind = "scripted"\n')
    assert found.health is Health.PROBLEM
    assert found.text.startswith("backend 'huge' is not in bundle")


def test_a_damaged_bundle_is_a_problem(bundle_of, fitted):
    card = next(path for path in (fitted / "bundle").iterdir() if path.suffix == ".json")
    kept = card.read_text()
    try:
        card.write_text(json.dumps({}))
        (found,) = bundle_of(TOML)
    finally:
        card.write_text(kept)
    assert found.health is Health.PROBLEM
